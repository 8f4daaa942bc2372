//! The keywords of the validation vocabulary, and those that lead into objects and arrays.

use serde_json::{Number, Value};

use super::compile::{Compiler, Draft, Keywords, Told};
use super::number::{Divisor, Num};
use super::pattern::Pattern;
use super::{Array, Count, Names, Object, Rule, Side, Types};

const OBJECT_KEYWORDS: [&str; 10] = [
    "additionalProperties",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "maxProperties",
    "minProperties",
    "patternProperties",
    "properties",
    "propertyNames",
    "required",
];
const ARRAY_KEYWORDS: [&str; 8] =
    ["additionalItems", "contains", "items", "maxContains", "maxItems", "minItems", "prefixItems", "uniqueItems"];

impl<'s> Compiler<'s> {
    /// `type`, `const` and `enum`.
    pub(super) fn values(&mut self, keywords: &'s Keywords, rules: &mut Vec<Rule>) -> Result<(), Told> {
        if let Some(named) = keywords.get("type") {
            let names = match named {
                Value::Array(names) => names.as_slice(),
                one => std::slice::from_ref(one),
            };
            if names.is_empty() {
                return Err(self.fault("type", "expected at least one type"));
            }
            let mut types = Types::NONE;
            for name in names {
                let Some(own) = name.as_str().and_then(Types::named) else {
                    return Err(self.fault("type", &format!("expected {}", Types::NAMES.join(", "))));
                };
                types = types.with(own);
            }
            rules.push(Rule::Type(types));
        }
        if let Some(constant) = keywords.get("const") {
            rules.push(Rule::Enum([constant.clone()].into()));
        }
        if let Some(allowed) = keywords.get("enum") {
            let Some(allowed) = allowed.as_array() else { return Err(self.fault("enum", "expected an array")) };
            rules.push(Rule::Enum(allowed.clone().into()));
        }
        Ok(())
    }

    pub(super) fn numbers(&mut self, keywords: &'s Keywords, rules: &mut Vec<Rule>) -> Result<(), Told> {
        for (keyword, side) in [
            ("minimum", Side::AtLeast),
            ("exclusiveMinimum", Side::MoreThan),
            ("maximum", Side::AtMost),
            ("exclusiveMaximum", Side::LessThan),
        ] {
            if let Some(bound) = self.number(keywords, keyword)? {
                rules.push(Rule::Bound(side, Num::of(bound)));
            }
        }
        if let Some(divisor) = self.number(keywords, "multipleOf")? {
            let Some(divisor) = Divisor::new(divisor) else {
                return Err(self.fault("multipleOf", "expected more than 0"));
            };
            rules.push(Rule::MultipleOf(divisor));
        }
        Ok(())
    }

    pub(super) fn strings(&mut self, keywords: &'s Keywords, rules: &mut Vec<Rule>) -> Result<(), Told> {
        let length = self.count(keywords, "minLength", "maxLength")?;
        if length != Count::ANY {
            rules.push(Rule::Length(length));
        }
        if let Some(pattern) = keywords.get("pattern") {
            let Some(pattern) = pattern.as_str() else { return Err(self.fault("pattern", "expected a string")) };
            rules.push(Rule::Pattern(self.pattern("pattern", pattern)?));
        }
        Ok(())
    }

    pub(super) fn objects(&mut self, keywords: &'s Keywords, rules: &mut Vec<Rule>) -> Result<(), Told> {
        if !OBJECT_KEYWORDS.iter().any(|keyword| keywords.contains_key(*keyword)) {
            return Ok(());
        }
        let mut patterns = Vec::new();
        for (pattern, schema) in self.schemas_by_name(keywords, "patternProperties")? {
            patterns.push((self.pattern("patternProperties", pattern)?, schema));
        }
        let required = match keywords.get("required") {
            Some(names) => self.names("required", names)?,
            None => Names::default(),
        };
        let mut dependent_required = Vec::new();
        let mut dependent_schemas = owned(self.schemas_by_name(keywords, "dependentSchemas")?);
        if let Some(needed) = keywords.get("dependentRequired") {
            let what = "expected an object of lists of names";
            let Some(needed) = needed.as_object() else { return Err(self.fault("dependentRequired", what)) };
            for (name, names) in needed {
                dependent_required.push((name.as_str().into(), self.names("dependentRequired", names)?));
            }
        }
        // What both were in one until draft-07; 2020-12 leaves it to us whether it still counts.
        if let Some(either) = keywords.get("dependencies") {
            let what = "expected an object of schemas or lists of names";
            let Some(either) = either.as_object() else { return Err(self.fault("dependencies", what)) };
            for (name, needed) in either {
                let own: Box<str> = name.as_str().into();
                if needed.is_array() {
                    dependent_required.push((own, self.names("dependencies", needed)?));
                } else {
                    dependent_schemas.push((own, self.within(&["dependencies", name], needed)?));
                }
            }
        }
        rules.push(Rule::Object(Box::new(Object {
            properties: owned(self.schemas_by_name(keywords, "properties")?).into(),
            patterns: patterns.into(),
            additional: self.one(keywords, "additionalProperties")?,
            names: self.one(keywords, "propertyNames")?,
            required,
            count: self.count(keywords, "minProperties", "maxProperties")?,
            dependent_required: dependent_required.into(),
            dependent_schemas: dependent_schemas.into(),
        })));
        Ok(())
    }

    pub(super) fn arrays(&mut self, keywords: &'s Keywords, rules: &mut Vec<Rule>) -> Result<(), Told> {
        if !ARRAY_KEYWORDS.iter().any(|keyword| keywords.contains_key(*keyword)) {
            return Ok(());
        }
        let is_list = keywords.get("items").is_some_and(Value::is_array);
        let (prefix, items) = match (self.draft, is_list) {
            (Draft::Draft2020, true) => return Err(self.fault("items", "expected one schema; write `prefixItems`")),
            (Draft::Draft2020, false) => (self.schemas(keywords, "prefixItems")?, self.one(keywords, "items")?),
            // The old names of the same. Beside one schema for all items, `additionalItems` says nothing.
            (Draft::Draft07, true) => (self.schemas(keywords, "items")?, self.one(keywords, "additionalItems")?),
            (Draft::Draft07, false) => {
                self.one(keywords, "additionalItems")?;
                (None, self.one(keywords, "items")?)
            }
        };
        let contains = self.one(keywords, "contains")?;
        let contained = self.count(keywords, "minContains", "maxContains")?;
        let min = if keywords.contains_key("minContains") { contained.min } else { 1 };
        let unique = match keywords.get("uniqueItems") {
            None => false,
            Some(unique) => unique.as_bool().ok_or_else(|| self.fault("uniqueItems", "expected true or false"))?,
        };
        rules.push(Rule::Array(Box::new(Array {
            prefix: prefix.unwrap_or_default(),
            items,
            contains: contains.map(|schema| (schema, Count { min, ..contained })),
            count: self.count(keywords, "minItems", "maxItems")?,
            unique,
        })));
        Ok(())
    }

    fn number(&mut self, keywords: &'s Keywords, keyword: &str) -> Result<Option<&'s Number>, Told> {
        match keywords.get(keyword) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(_) => Err(self.fault(keyword, "expected a number")),
        }
    }

    fn count(&mut self, keywords: &'s Keywords, min: &str, max: &str) -> Result<Count, Told> {
        Ok(Count {
            min: self.how_many(keywords, min)?.unwrap_or(Count::ANY.min),
            max: self.how_many(keywords, max)?.unwrap_or(Count::ANY.max),
        })
    }

    /// More than fit into memory are as good as `usize::MAX`.
    fn how_many(&mut self, keywords: &'s Keywords, keyword: &str) -> Result<Option<usize>, Told> {
        let Some(number) = self.number(keywords, keyword)? else { return Ok(None) };
        match Num::of(number) {
            Num::Integer(whole) if whole >= 0 => Ok(Some(usize::try_from(whole).unwrap_or(usize::MAX))),
            Num::Float(float) if float > 0.0 && float.fract() == 0.0 => Ok(Some(usize::MAX)),
            _ => Err(self.fault(keyword, "expected a whole number from 0")),
        }
    }

    fn names(&mut self, keyword: &str, names: &Value) -> Result<Names, Told> {
        let mut texts: Vec<Box<str>> = Vec::new();
        let all_are_texts = names
            .as_array()
            .is_some_and(|names| names.iter().all(|name| name.as_str().map(|text| texts.push(text.into())).is_some()));
        if all_are_texts { Ok(texts.into()) } else { Err(self.fault(keyword, "expected an array of names")) }
    }

    fn pattern(&mut self, keyword: &str, pattern: &str) -> Result<Pattern, Told> {
        Pattern::new(pattern).map_err(|what| {
            self.fault(keyword, &format!("/{}/ cannot be matched: {what}", super::place::cut(pattern, 80)))
        })
    }
}

fn owned(schemas: Vec<(&str, usize)>) -> Vec<(Box<str>, usize)> {
    schemas.into_iter().map(|(name, schema)| (name.into(), schema)).collect()
}
