//! From a schema's JSON to nodes.
//!
//! The document is walked down the keywords that hold schemas; every schema on the way becomes a node, known by
//! its address in the document. References are looked up when the walk is over and all anchors are known.

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
    if compiler.all().is_err() {
        return Err(compiler.fault);
    }
    match loops::find(&compiler.nodes) {
        None => Ok(compiler.nodes.into()),
        Some(loops::Loop::TooLong) => Err(format!("more than {DEPTH_MAX} schemas apply one through the other")),
        Some(loops::Loop::At(node)) => {
            let place = compiler.places.iter().find(|(of, _)| *of == node).map_or("", |(_, place)| place);
            Err(format!("`{place}`: leads back to itself without a step into the value"))
        }
    }
}

/// "`/properties/a/type`: what".
pub(super) fn fault(place: &str, what: &str) -> String {
    if place.is_empty() {
        return format!("the schema: {what}");
    }
    format!("`{place}`: {what}")
}

/// Appends a step to a JSON pointer.
pub(super) fn step(place: &mut String, key: &str) {
    place.push('/');
    for letter in key.chars() {
        match letter {
            '~' => place.push_str("~0"),
            '/' => place.push_str("~1"),
            other => place.push(other),
        }
    }
}

/// A `$ref` to be looked up.
struct Reference<'s> {
    node: usize,
    rule: usize,
    to: &'s str,
    place: String,
}

pub(super) struct Compiler<'s> {
    root: &'s Value,
    pub(super) draft: Draft,
    /// The document's own name, without `#`; empty if it has none.
    id: &'s str,
    nodes: Vec<Node>,
    /// Sorted, like the anchors: a list to search is a tenth of a map's code.
    by_address: Vec<(*const Value, usize)>,
    anchors: Vec<(&'s str, &'s Value)>,
    references: Vec<Reference<'s>>,
    /// The nodes that have a `$ref`, and where it stands.
    places: Vec<(usize, String)>,
    /// From the root to here, as a JSON pointer.
    place: String,
    depth: usize,
    /// What is wrong, once something is.
    fault: String,
}

/// Something is wrong, and written down in [`Compiler::fault`]: what every step hands on takes no room.
pub(super) struct Told;

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
            by_address: Vec::new(),
            anchors: Vec::new(),
            references: Vec::new(),
            places: Vec::new(),
            place: String::new(),
            depth: 0,
            fault: String::new(),
        })
    }

    /// All schemas of the document, and where their references lead.
    fn all(&mut self) -> Result<(), Told> {
        self.schema(self.root)?;
        while let Some(reference) = self.references.pop() {
            self.follow(reference)?;
        }
        Ok(())
    }

    /// The node of a schema.
    pub(super) fn schema(&mut self, schema: &'s Value) -> Result<usize, Told> {
        let address = std::ptr::from_ref(schema);
        let at = self.by_address.partition_point(|(other, _)| *other < address);
        if let Some((other, node)) = self.by_address.get(at)
            && *other == address
        {
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
        self.by_address.insert(at, (address, node));
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
    fn identity(&mut self, schema: &'s Value, keywords: &'s Keywords) -> Result<(), Told> {
        for (keyword, remedy) in REFUSED {
            if keywords.contains_key(keyword) {
                return Err(self.fault(keyword, remedy));
            }
        }
        if !std::ptr::eq(schema, self.root) && keywords.contains_key("$id") {
            return Err(self.fault("$id", "only the root may have one; remove it, and write `$ref` from the root"));
        }
        if draft(keywords.get("$schema")).ok() != Some(self.draft) && keywords.contains_key("$schema") {
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
            let at = self.anchors.partition_point(|(other, _)| *other < name);
            match self.anchors.get(at) {
                Some((other, same)) if *other == name && std::ptr::eq(*same, schema) => {}
                Some((other, _)) if *other == name => {
                    return Err(self.fault(keyword, "another schema has the same anchor"));
                }
                _ => self.anchors.insert(at, (name, schema)),
            }
        }
        Ok(())
    }

    fn rules(&mut self, node: usize, keywords: &'s Keywords) -> Result<Vec<Rule>, Told> {
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
            let Some(to) = reference.as_str() else { return Err(self.fault("$ref", "expected a string")) };
            let mut place = self.place.clone();
            self.references.push(Reference { node, rule: rules.len(), to, place: place.clone() });
            step(&mut place, "$ref");
            self.places.push((node, place));
            // Until it is looked up.
            rules.push(Rule::Ref(node));
        }
        let lists: [(_, fn(_) -> _); 3] = [("allOf", Rule::All), ("anyOf", Rule::Any), ("oneOf", Rule::One)];
        for (keyword, rule) in lists {
            if let Some(schemas) = self.schemas(keywords, keyword)? {
                rules.push(rule(schemas));
            }
        }
        if let Some(excluded) = self.one(keywords, "not")? {
            rules.push(Rule::Not(excluded));
        }
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
    pub(super) fn one(&mut self, keywords: &'s Keywords, keyword: &str) -> Result<Option<usize>, Told> {
        let Some(schema) = keywords.get(keyword) else { return Ok(None) };
        self.within(&[keyword], schema).map(Some)
    }

    /// The list of schemas that a keyword holds.
    pub(super) fn schemas(&mut self, keywords: &'s Keywords, keyword: &str) -> Result<Option<Box<[usize]>>, Told> {
        let Some(schemas) = keywords.get(keyword) else { return Ok(None) };
        let Some(schemas) = schemas.as_array().filter(|schemas| !schemas.is_empty()) else {
            return Err(self.fault(keyword, "expected an array of schemas, at least one"));
        };
        let mut nodes = Vec::with_capacity(schemas.len());
        for (at, schema) in schemas.iter().enumerate() {
            nodes.push(self.within(&[keyword, &at.to_string()], schema)?);
        }
        Ok(Some(nodes.into()))
    }

    /// The schemas by name that a keyword holds, sorted.
    pub(super) fn schemas_by_name(
        &mut self,
        keywords: &'s Keywords,
        keyword: &str,
    ) -> Result<Vec<(&'s str, usize)>, Told> {
        let Some(schemas) = keywords.get(keyword) else { return Ok(Vec::new()) };
        let Some(schemas) = schemas.as_object() else {
            return Err(self.fault(keyword, "expected an object of schemas"));
        };
        let mut nodes: Vec<(&str, usize)> = Vec::with_capacity(schemas.len());
        for (name, schema) in schemas {
            let node = self.within(&[keyword, name], schema)?;
            // Behind the others, unless a host has serde_json keep members in the order of the text.
            let at = nodes.partition_point(|(other, _)| *other < name.as_str());
            nodes.insert(at, (name.as_str(), node));
        }
        Ok(nodes)
    }

    /// The node of a schema that is so many steps further.
    pub(super) fn within(&mut self, steps: &[&str], schema: &'s Value) -> Result<usize, Told> {
        let here = self.place.len();
        for key in steps {
            step(&mut self.place, key);
        }
        let node = self.schema(schema)?;
        self.place.truncate(here);
        Ok(node)
    }

    /// Looks a `$ref` up; what it leads to may stand where no keyword led.
    fn follow(&mut self, reference: Reference<'s>) -> Result<(), Told> {
        self.place = reference.place;
        let target = self.resolve(reference.to).map_err(|what| self.fault("$ref", &what))?;
        let target = self.within(&["$ref"], target)?;
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
            false => self.anchors.iter().find(|(name, _)| *name == fragment).map(|(_, schema)| *schema),
        };
        found.ok_or_else(|| format!("there is no {:?} in the schema", super::place::cut(reference, 80)))
    }

    /// A fault of a keyword in the schema at hand.
    #[cold]
    pub(super) fn fault(&mut self, keyword: &str, what: &str) -> Told {
        let mut place = self.place.clone();
        step(&mut place, keyword);
        self.fault = fault(&place, what);
        Told
    }

    #[cold]
    fn here(&mut self, what: &str) -> Told {
        self.fault = fault(&self.place, what);
        Told
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
