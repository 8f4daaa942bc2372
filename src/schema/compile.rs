//! From a schema's JSON to nodes.
//!
//! The document is walked down the keywords that hold schemas; every schema on the way becomes a node, known by
//! its address in the document. References are looked up when the walk is over and all anchors are known.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{DEPTH_MAX, Node, Rule, loops};

/// More subschemas are refused.
const NODES_MAX: usize = 4096;

pub(super) type Keywords = Map<String, Value>;

/// Keywords that assert what is not checked here, and what to do about it.
const REFUSED: [(&str, &str); 5] = [
    ("$dynamicRef", "not supported; write `$ref`"),
    ("$recursiveRef", "not supported; write `$ref`"),
    ("unevaluatedItems", "not supported; write `items: false` behind `prefixItems`, and no `allOf`"),
    ("unevaluatedProperties", "not supported; name all properties in one schema and write `additionalProperties`"),
    ("$recursiveAnchor", "not supported; write `$anchor`"),
];
/// The same, of keywords that are no keywords in one of the drafts: whoever writes one means it to hold.
const NOT_IN_2020_12: [(&str, &str); 1] = [("additionalItems", "not in 2020-12; write `prefixItems` and `items`")];
const NOT_IN_DRAFT_07: [&str; 7] =
    ["$anchor", "$dynamicAnchor", "dependentRequired", "dependentSchemas", "maxContains", "minContains", "prefixItems"];
/// Beside a `$ref` of draft-07 nothing counts; these assert nothing anyway.
const BESIDE_REF: [&str; 12] = [
    "$comment",
    "$defs",
    "$id",
    "$ref",
    "$schema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "format",
    "title",
];

/// The dialects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Draft {
    Draft07,
    Draft2020,
}

/// Compiles to nodes; the root is the first.
pub(super) fn compile(root: &Value) -> Result<Box<[Node]>, String> {
    let mut compiler = Compiler::new(root)?;
    compiler.schema(root)?;
    while let Some(reference) = compiler.references.pop() {
        compiler.follow(reference)?;
    }
    match loops::find(&compiler.nodes) {
        None => Ok(compiler.nodes.into()),
        Some(loops::Loop::TooLong) => Err(format!("more than {DEPTH_MAX} schemas apply one through the other")),
        Some(loops::Loop::At(node)) => {
            let place = compiler.places.get(node).map_or("", String::as_str);
            Err(format!("`{place}`: leads back to itself without a step into the value"))
        }
    }
}

/// "`/properties/a/type`: what".
pub(super) fn fault<'s>(pointer: impl Iterator<Item = &'s str>, what: &str) -> String {
    let mut place = String::new();
    for key in pointer {
        place.push('/');
        place.push_str(&key.replace('~', "~0").replace('/', "~1"));
    }
    if place.is_empty() {
        return format!("the schema: {what}");
    }
    format!("`{place}`: {what}")
}

/// A `$ref` to be looked up.
struct Reference<'s> {
    node: usize,
    rule: usize,
    to: &'s str,
    path: Vec<String>,
}

pub(super) struct Compiler<'s> {
    root: &'s Value,
    pub(super) draft: Draft,
    /// The document's own name, without `#`; empty if it has none.
    id: &'s str,
    nodes: Vec<Node>,
    by_address: HashMap<*const Value, usize>,
    anchors: HashMap<&'s str, &'s Value>,
    references: Vec<Reference<'s>>,
    /// Where the `$ref` of each node stands.
    places: Vec<String>,
    /// From the root to here.
    path: Vec<String>,
    depth: usize,
}

impl<'s> Compiler<'s> {
    fn new(root: &'s Value) -> Result<Compiler<'s>, String> {
        let draft = draft(root.get("$schema"))?;
        let id = match root.get("$id") {
            Some(id) => id.as_str().ok_or("`/$id`: expected a string")?.trim_end_matches('#'),
            None => "",
        };
        Ok(Compiler {
            root,
            draft,
            id,
            nodes: Vec::new(),
            by_address: HashMap::new(),
            anchors: HashMap::new(),
            references: Vec::new(),
            places: Vec::new(),
            path: Vec::new(),
            depth: 0,
        })
    }

    /// The node of a schema.
    pub(super) fn schema(&mut self, schema: &'s Value) -> Result<usize, String> {
        let address = std::ptr::from_ref(schema);
        if let Some(node) = self.by_address.get(&address) {
            return Ok(*node);
        }
        if self.nodes.len() == NODES_MAX {
            return Err(self.here(&format!("more than {NODES_MAX} schemas in one")));
        }
        if self.depth > DEPTH_MAX {
            return Err(self.here(&format!("nested deeper than {DEPTH_MAX} schemas; write `$defs` and `$ref`")));
        }
        let node = self.nodes.len();
        self.nodes.push(Node::default());
        self.places.push(String::new());
        self.by_address.insert(address, node);
        self.depth += 1;
        let rules = match schema {
            Value::Bool(true) => Vec::new(),
            Value::Bool(false) => vec![Rule::Never],
            Value::Object(keywords) => {
                self.identity(schema, keywords)?;
                self.rules(node, keywords)?
            }
            _ => return Err(self.here("expected a schema: an object, true or false")),
        };
        self.depth -= 1;
        self.nodes[node].rules = rules;
        Ok(node)
    }

    /// What a schema says of itself, and whether all of it can be checked.
    fn identity(&mut self, schema: &'s Value, keywords: &'s Keywords) -> Result<(), String> {
        for (keyword, remedy) in REFUSED {
            if keywords.contains_key(keyword) {
                return Err(self.fault(keyword, remedy));
            }
        }
        if !std::ptr::eq(schema, self.root) && keywords.contains_key("$id") {
            return Err(self.fault("$id", "only the root may have one; remove it, and write `$ref` from the root"));
        }
        if draft(keywords.get("$schema")) != Ok(self.draft) && keywords.contains_key("$schema") {
            return Err(self.fault("$schema", "names another dialect than the root"));
        }
        match self.draft {
            Draft::Draft2020 => {
                for (keyword, remedy) in NOT_IN_2020_12 {
                    if keywords.contains_key(keyword) {
                        return Err(self.fault(keyword, remedy));
                    }
                }
            }
            Draft::Draft07 => {
                if let Some(keyword) = NOT_IN_DRAFT_07.into_iter().find(|keyword| keywords.contains_key(*keyword)) {
                    return Err(self.fault(keyword, "not in draft-07; remove `$schema` to write 2020-12"));
                }
                if keywords.contains_key("$ref")
                    && let Some(beside) = keywords.keys().find(|key| !BESIDE_REF.contains(&key.as_str()))
                {
                    return Err(self.fault(beside, "does not count beside a `$ref` in draft-07; write `allOf`"));
                }
            }
        }
        for keyword in ["$anchor", "$dynamicAnchor"] {
            let Some(anchor) = keywords.get(keyword) else { continue };
            let Some(name) = anchor.as_str() else { return Err(self.fault(keyword, "expected a string")) };
            if self.anchors.insert(name, schema).is_some_and(|other| !std::ptr::eq(other, schema)) {
                return Err(self.fault(keyword, "another schema has the same anchor"));
            }
        }
        Ok(())
    }

    fn rules(&mut self, node: usize, keywords: &'s Keywords) -> Result<Vec<Rule>, String> {
        for keyword in ["$defs", "definitions"] {
            self.schemas_by_name(keywords, keyword)?;
        }
        let mut rules = Vec::new();
        self.values(keywords, &mut rules)?;
        self.numbers(keywords, &mut rules)?;
        self.strings(keywords, &mut rules)?;
        self.objects(keywords, &mut rules)?;
        self.arrays(keywords, &mut rules)?;
        if let Some(reference) = keywords.get("$ref") {
            let to = reference.as_str().ok_or_else(|| self.fault("$ref", "expected a string"))?;
            self.places[node] = self.pointer("$ref");
            self.references.push(Reference { node, rule: rules.len(), to, path: self.path.clone() });
            // Until it is looked up.
            rules.push(Rule::Ref(node));
        }
        rules.extend(self.schemas(keywords, "allOf")?.map(Rule::All));
        rules.extend(self.schemas(keywords, "anyOf")?.map(Rule::Any));
        rules.extend(self.schemas(keywords, "oneOf")?.map(Rule::One));
        rules.extend(self.one(keywords, "not")?.map(Rule::Not));
        let condition = self.one(keywords, "if")?;
        let (then, otherwise) = (self.one(keywords, "then")?, self.one(keywords, "else")?);
        if let Some(condition) = condition
            && (then.is_some() || otherwise.is_some())
        {
            rules.push(Rule::If { condition, then, otherwise });
        }
        Ok(rules)
    }

    /// The schema that a keyword holds.
    pub(super) fn one(&mut self, keywords: &'s Keywords, keyword: &str) -> Result<Option<usize>, String> {
        let Some(schema) = keywords.get(keyword) else { return Ok(None) };
        self.within(keyword, |compiler| compiler.schema(schema)).map(Some)
    }

    /// The list of schemas that a keyword holds.
    pub(super) fn schemas(&mut self, keywords: &'s Keywords, keyword: &str) -> Result<Option<Box<[usize]>>, String> {
        let Some(schemas) = keywords.get(keyword) else { return Ok(None) };
        let Some(schemas) = schemas.as_array().filter(|schemas| !schemas.is_empty()) else {
            return Err(self.fault(keyword, "expected an array of schemas, at least one"));
        };
        let mut nodes = Vec::with_capacity(schemas.len());
        for (at, schema) in schemas.iter().enumerate() {
            nodes.push(self.within(keyword, |inner| inner.within(&at.to_string(), |inner| inner.schema(schema)))?);
        }
        Ok(Some(nodes.into()))
    }

    /// The schemas by name that a keyword holds, sorted.
    pub(super) fn schemas_by_name(
        &mut self,
        keywords: &'s Keywords,
        keyword: &str,
    ) -> Result<Vec<(&'s str, usize)>, String> {
        let Some(schemas) = keywords.get(keyword) else { return Ok(Vec::new()) };
        let Some(schemas) = schemas.as_object() else {
            return Err(self.fault(keyword, "expected an object of schemas"));
        };
        let mut nodes = Vec::with_capacity(schemas.len());
        for (name, schema) in schemas {
            let node = self.within(keyword, |inner| inner.within(name, |inner| inner.schema(schema)))?;
            nodes.push((name.as_str(), node));
        }
        nodes.sort_unstable();
        Ok(nodes)
    }

    /// Runs with one more step on the path.
    pub(super) fn within<T>(
        &mut self,
        key: &str,
        run: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        self.path.push(key.to_owned());
        let result = run(self)?;
        self.path.pop();
        Ok(result)
    }

    /// Looks a `$ref` up; what it leads to may stand where no keyword led.
    fn follow(&mut self, reference: Reference<'s>) -> Result<(), String> {
        self.path = reference.path;
        let target = self.resolve(reference.to).map_err(|what| self.fault("$ref", &what))?;
        let target = self.within("$ref", |inner| inner.schema(target))?;
        if let Some(rule) = self.nodes[reference.node].rules.get_mut(reference.rule) {
            *rule = Rule::Ref(target);
        }
        Ok(())
    }

    fn resolve(&self, reference: &str) -> Result<&'s Value, String> {
        let rest = match reference.strip_prefix(self.id) {
            Some(rest) if rest.is_empty() || rest.starts_with('#') => rest,
            _ => reference,
        };
        let fragment = match rest.strip_prefix('#') {
            Some(fragment) => fragment,
            None if rest.is_empty() => "",
            None => {
                let shown = super::place::cut(reference, 80);
                return Err(format!("{shown:?} leads out of the schema, and nothing is fetched; copy it to `$defs`"));
            }
        };
        let fragment = percent_decoded(fragment).ok_or("its % codes are not UTF-8")?;
        let found = match fragment.is_empty() || fragment.starts_with('/') {
            true => self.root.pointer(&fragment),
            false => self.anchors.get(fragment.as_str()).copied(),
        };
        found.ok_or_else(|| format!("there is no {:?} in the schema", super::place::cut(reference, 80)))
    }

    /// A fault of a keyword in the schema at hand.
    pub(super) fn fault(&self, keyword: &str, what: &str) -> String {
        fault(self.path.iter().map(String::as_str).chain([keyword]), what)
    }

    fn here(&self, what: &str) -> String {
        fault(self.path.iter().map(String::as_str), what)
    }

    fn pointer(&self, keyword: &str) -> String {
        let place = self.fault(keyword, "");
        place.trim_start_matches('`').trim_end_matches("`: ").to_owned()
    }
}

/// The dialect that a `$schema` names; 2020-12 if there is none.
fn draft(schema: Option<&Value>) -> Result<Draft, String> {
    let Some(schema) = schema else { return Ok(Draft::Draft2020) };
    let name = schema.as_str().unwrap_or_default();
    match name.trim_end_matches('#') {
        "https://json-schema.org/draft/2020-12/schema" => Ok(Draft::Draft2020),
        "http://json-schema.org/draft-07/schema" | "https://json-schema.org/draft-07/schema" => Ok(Draft::Draft07),
        _ => Err(format!(
            "`/$schema`: {:?} is not known; write \"https://json-schema.org/draft/2020-12/schema\"",
            super::place::cut(name, 80)
        )),
    }
}

/// `None` if a code is not complete or the result is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let code = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(code).ok()?);
    }
    String::from_utf8(bytes).ok()
}
