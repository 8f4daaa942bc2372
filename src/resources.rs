//! The resources: those with an address of their own, and those whose addresses follow a template.

use std::future::Future;
use std::rc::Rc;

use crate::access::Item;
use crate::context::RequestContext;
use crate::features::{self, Begin};
use crate::jsonrpc::{self, Error};
use crate::listing::Listed;
use crate::mcp::compat::Outcome;
use crate::mcp::describe::{Cache, Resource, ResourceTemplate};
use crate::mcp::result::{CallError, ReadResult};
use crate::mcp::uri_template::{UriTemplate, check_uri};
use crate::members::Members;
use crate::revision::Revision;
use crate::tools::CallFuture;

type Handler = Box<dyn Fn(RequestContext, ReadRequest) -> CallFuture>;
type Find = for<'a> fn(&'a Resources, &str, &dyn Fn(Item<'_>) -> bool) -> Result<Found<'a>, CallError>;

/// What is to be read: an address, and for a template the values of its variables.
///
/// ```
/// # use portcullis::ReadRequest;
/// fn chain(request: &ReadRequest) -> &str {
///     request.get("name").unwrap_or_default()
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadRequest {
    uri: String,
    variables: Vec<(String, String)>,
}

impl ReadRequest {
    /// The address that the client asked for.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The value of a variable of the template, percent codes decoded. It is the client's: check it before it becomes
    /// part of a path or a command. A simple variable never holds a `/`, nor is it `.` or `..`.
    pub fn get(&self, variable: &str) -> Option<&str> {
        self.variables.iter().find(|(name, _)| name == variable).map(|(_, value)| value.as_str())
    }
}

/// All resources and templates, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Resources {
    pub(crate) entries: Vec<Entry>,
    pub(crate) templates: Vec<TemplateEntry>,
    pub(crate) begin: Option<Begin>,
    /// Set like `begin`, for the same reason.
    find: Option<Find>,
    fault: Option<String>,
}

/// A resource that can be read.
pub(crate) struct Entry {
    resource: Resource,
    handler: Handler,
    text: Vec<u8>,
}

/// Many resources that can be read.
pub(crate) struct TemplateEntry {
    description: ResourceTemplate,
    template: UriTemplate,
    handler: Handler,
    text: Vec<u8>,
}

/// What answers a `resources/read`.
pub(crate) struct Found<'a> {
    handler: &'a Handler,
    request: ReadRequest,
}

impl Resources {
    pub(crate) fn add<F, Fut, R>(&mut self, resource: Resource, handler: F)
    where
        F: Fn(RequestContext, ReadRequest) -> Fut + 'static,
        Fut: Future<Output = Result<R, CallError>> + 'static,
        R: Into<ReadResult>,
    {
        let uri = check_uri(&resource.uri).err().map(|fault| format!("resource {:?}: {fault}", resource.uri));
        let twice = self.entries.iter().any(|entry| entry.resource.uri == resource.uri);
        let twice = twice.then(|| format!("resource {:?} is there twice", resource.uri));
        if let Some(fault) = resource.fault().or(uri).or(twice) {
            self.fault.get_or_insert(fault);
        }
        let mut text = Vec::new();
        jsonrpc::write_json(&mut text, &resource.members());
        let handler = boxed(handler, resource.mime_type.clone(), resource.cache);
        self.entries.push(Entry { resource, handler, text });
        self.are_there();
    }

    pub(crate) fn add_template<F, Fut, R>(&mut self, description: ResourceTemplate, handler: F)
    where
        F: Fn(RequestContext, ReadRequest) -> Fut + 'static,
        Fut: Future<Output = Result<R, CallError>> + 'static,
        R: Into<ReadResult>,
    {
        let template = match UriTemplate::parse(&description.uri_template) {
            Ok(template) => template,
            Err(fault) => {
                self.fault.get_or_insert(format!("resource template {:?}: {fault}", description.uri_template));
                return;
            }
        };
        let twice = self.templates.iter().any(|entry| entry.key() == description.uri_template);
        let twice = twice.then(|| format!("resource template {:?} is there twice", description.uri_template));
        if let Some(fault) = description.fault().or(twice) {
            self.fault.get_or_insert(fault);
        }
        let mut text = Vec::new();
        jsonrpc::write_json(&mut text, &description.members());
        let handler = boxed(handler, description.mime_type.clone(), description.cache);
        self.templates.push(TemplateEntry { description, template, handler, text });
        self.are_there();
    }

    fn are_there(&mut self) {
        self.begin = Some(features::read);
        self.find = Some(Resources::find_among);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.templates.is_empty()
    }

    /// # Errors
    /// The first fault of all descriptions, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// What answers a read of `uri`: the resource with that address, else the first template that it fits.
    pub(crate) fn find(&self, uri: &str, may_use: &dyn Fn(Item<'_>) -> bool) -> Result<Found<'_>, CallError> {
        match self.find {
            Some(find) => find(self, uri, may_use),
            None => Err(CallError::not_found(uri)),
        }
    }

    fn find_among(&self, uri: &str, may_use: &dyn Fn(Item<'_>) -> bool) -> Result<Found<'_>, CallError> {
        check_uri(uri).map_err(|fault| CallError::params(format!("uri: {fault}")))?;
        let fixed = self.entries.iter().find(|entry| entry.resource.uri == uri);
        if let Some(entry) = fixed.filter(|entry| may_use(entry.item())) {
            let request = ReadRequest { uri: uri.to_owned(), variables: Vec::new() };
            return Ok(Found { handler: &entry.handler, request });
        }
        // Linear in templates: a server has a handful.
        for entry in self.templates.iter().filter(|entry| may_use(entry.item())) {
            if let Some(variables) = entry.template.matches(uri) {
                let request = ReadRequest { uri: uri.to_owned(), variables };
                return Ok(Found { handler: &entry.handler, request });
            }
        }
        Err(CallError::not_found(uri))
    }

    /// Has the template this variable?
    pub(crate) fn has_variable(&self, uri_template: &str, variable: &str) -> bool {
        let entry = self.templates.iter().find(|entry| entry.key() == uri_template);
        entry.is_some_and(|entry| entry.template.variables().any(|name| name == variable))
    }
}

/// The handler, in the one form that the server calls. What it leaves open of its contents, its description says.
fn boxed<F, Fut, R>(handler: F, mime_type: Option<String>, cache: Cache) -> Handler
where
    F: Fn(RequestContext, ReadRequest) -> Fut + 'static,
    Fut: Future<Output = Result<R, CallError>> + 'static,
    R: Into<ReadResult>,
{
    let handler = Rc::new(handler);
    Box::new(move |cx, request| {
        let (handler, mime_type) = (handler.clone(), mime_type.clone());
        Box::pin(async move {
            let uri = request.uri.clone();
            let mut result: ReadResult = handler(cx, request).await?.into();
            for contents in &mut result.0 {
                if contents.uri.is_empty() {
                    contents.uri.clone_from(&uri);
                }
                if contents.mime_type.is_none() {
                    contents.mime_type.clone_from(&mime_type);
                }
            }
            Ok(Outcome::Other(Box::new((result, cache))))
        })
    })
}

impl Found<'_> {
    pub(crate) fn future(self, cx: RequestContext) -> CallFuture {
        (self.handler)(cx, self.request)
    }
}

/// The `uri` of `resources/read`, `subscribe` and `unsubscribe`.
pub(crate) fn read_uri(params: &Members<'_>) -> Result<String, Error> {
    params.required("uri").map(Into::into)
}

impl Listed for Entry {
    fn key(&self) -> &str {
        &self.resource.uri
    }

    fn item(&self) -> Item<'_> {
        Item::Resource(&self.resource.uri)
    }

    fn write(&self, out: &mut Vec<u8>, _: Revision) {
        out.extend_from_slice(&self.text);
    }
}

impl Listed for TemplateEntry {
    fn key(&self) -> &str {
        &self.description.uri_template
    }

    fn item(&self) -> Item<'_> {
        Item::Template(&self.description.uri_template)
    }

    fn write(&self, out: &mut Vec<u8>, _: Revision) {
        out.extend_from_slice(&self.text);
    }
}
