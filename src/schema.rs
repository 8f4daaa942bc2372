//! JSON Schema (2020-12, and draft-07 where the two agree): a tool's schema is compiled once, and every
//! value is checked against it (F-37, F-170).
//!
//! One decision is made here: a schema is checked whole or refused. A keyword that asserts something which
//! this file cannot check (`unevaluatedProperties`, `$dynamicRef`, a `$ref` out of the document) is an error
//! of `compile`, not a rule that is silently not there. Nothing is ever fetched. Keywords that assert nothing
//! (`title`, `default`, `format`, `x-…`) are passed over.
//!
//! A schema is trusted to mean well, a value is not: a check ends after a bounded number of steps and a
//! bounded depth, whatever the value.

mod check;
mod compile;
mod effort;
mod equal;
mod headers;
mod keywords;
mod loops;
mod number;
#[cfg(feature = "pattern")]
mod pattern;
#[cfg(not(feature = "pattern"))]
#[path = "schema/no_pattern.rs"]
mod pattern;
mod place;

use serde_json::Value;

pub(crate) use headers::{HeaderKind, HeaderParam, header_params};

use number::{Divisor, Num};
use pattern::Pattern;

/// Nested schemas, and schemas that apply to the same value one through the other.
const DEPTH_MAX: usize = 64;

/// A compiled schema.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The root is the first. Whoever is named by index is in it: `compile` counted.
    nodes: Box<[Node]>,
}

/// One subschema: its rules in the order in which they make the best sentences.
#[derive(Debug, Default)]
struct Node {
    rules: Vec<Rule>,
}

/// What one keyword, or a few that belong together, ask of a value. Numbers name nodes.
#[derive(Debug)]
enum Rule {
    /// The schema `false`.
    Never,
    /// Always the first rule of its node.
    Type(Types),
    /// `enum`, and `const` as an enum of one.
    Enum(Box<[Value]>),
    Bound(Side, Num),
    MultipleOf(Divisor),
    /// Length of a string in characters.
    Length(Count),
    Pattern(Pattern),
    Object(Box<Object>),
    Array(Box<Array>),
    Ref(usize),
    All(Box<[usize]>),
    Any(Box<[usize]>),
    One(Box<[usize]>),
    Not(usize),
    If {
        condition: usize,
        then: Option<usize>,
        otherwise: Option<usize>,
    },
}

#[derive(Clone, Copy, Debug)]
enum Side {
    AtLeast,
    MoreThan,
    AtMost,
    LessThan,
}

/// How many; `usize::MAX` is no bound.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Count {
    min: usize,
    max: usize,
}

impl Count {
    const ANY: Count = Count { min: 0, max: usize::MAX };
}

/// Names of members.
type Names = Box<[Box<str>]>;

#[derive(Debug)]
struct Object {
    /// Sorted by name.
    properties: Box<[(Box<str>, usize)]>,
    patterns: Box<[(Pattern, usize)]>,
    additional: Option<usize>,
    names: Option<usize>,
    required: Names,
    count: Count,
    /// If the first is there, so must be the others.
    dependent_required: Box<[(Box<str>, Names)]>,
    dependent_schemas: Box<[(Box<str>, usize)]>,
}

#[derive(Debug)]
struct Array {
    prefix: Box<[usize]>,
    items: Option<usize>,
    contains: Option<(usize, Count)>,
    count: Count,
    unique: bool,
}

/// A set of the seven types.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Types(u8);

impl Types {
    const NONE: Types = Types(0);
    const NAMES: [&str; 7] = ["string", "integer", "number", "boolean", "array", "object", "null"];

    fn with(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    fn named(name: &str) -> Option<Types> {
        Types::NAMES.iter().position(|known| *known == name).map(|at| Types(1 << at))
    }

    fn admits(self, value: &Value) -> bool {
        let bits = match value {
            Value::String(_) => 1,
            Value::Number(number) if Num::of(number).is_integer() => 0b110,
            Value::Number(_) => 0b100,
            Value::Bool(_) => 1 << 3,
            Value::Array(_) => 1 << 4,
            Value::Object(_) => 1 << 5,
            Value::Null => 1 << 6,
        };
        self.0 & bits != 0
    }

    /// "integer or null".
    fn names(self) -> String {
        let mut names = String::new();
        for (at, name) in Types::NAMES.iter().enumerate() {
            if self.0 & (1 << at) != 0 {
                names.push_str(if names.is_empty() { "" } else { " or " });
                names.push_str(name);
            }
        }
        names
    }
}

impl Schema {
    /// Compiles.
    ///
    /// # Errors
    /// One sentence that names the place (a JSON pointer that ends in the keyword) and the remedy.
    pub(crate) fn compile(schema: &Value) -> Result<Schema, String> {
        compile::compile(schema).map(|nodes| Schema { nodes })
    }

    /// Checks. A value that fits costs no allocation unless the schema has `propertyNames`, or `uniqueItems` for
    /// more than a few items.
    ///
    /// # Errors
    /// One sentence about the first fault, for the model to act on: what stands where, and what is expected.
    /// At most 300 bytes.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        check::check(&self.nodes, value)
    }
}

/// Writes whole numbers as integers, `3` in place of `3.0`: to a schema they are the same, to a handler's type not.
pub(crate) fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            // Within 2^53 the conversion is exact.
            let whole = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0);
            if let Some(whole) = whole {
                *number = (whole as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(members) => members.values_mut().for_each(make_whole),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Each line is a value and how the sentence about it begins; no sentence if it fits.
    fn table(schema: &Value, lines: &[(Value, &str)]) {
        let compiled = Schema::compile(schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
        for (value, sentence) in lines {
            match compiled.check(value) {
                Ok(()) => assert!(sentence.is_empty(), "{schema} {value} fits; expected {sentence}"),
                Err(own) => assert_eq!(own, *sentence, "{schema} {value}"),
            }
        }
    }

    #[test]
    fn f37_a_fault_is_told_with_its_place_and_what_is_expected() {
        let schema = json!({
            "type": "object",
            "properties": {
                "port": {"type": "integer", "minimum": 1, "maximum": 65535},
                "zone": {"enum": ["lan", "wan"]},
                "name": {"type": ["string", "null"], "minLength": 2, "maxLength": 4},
                "rules": {"type": "array", "maxItems": 3, "uniqueItems": true, "items": {
                    "type": "object", "required": ["chain"], "additionalProperties": false,
                    "properties": {"chain": {"const": "input"}, "rate": {"multipleOf": 0.1, "exclusiveMinimum": 0}}
                }},
                "odd name": false
            },
            "required": ["port"],
            "additionalProperties": false
        });
        table(
            &schema,
            &[
                (json!({"port": 22}), ""),
                (json!({"port": 22.0, "zone": "lan", "name": null}), ""),
                (json!({"port": 22, "rules": [{"chain": "input", "rate": 0.3}]}), ""),
                (json!("ssh"), "expected object, got \"ssh\""),
                (json!({}), "`port`: missing"),
                (json!({"port": "ssh"}), "`port`: expected integer, got \"ssh\""),
                (json!({"port": 2.5}), "`port`: expected integer, got 2.5"),
                (json!({"port": 0}), "`port`: expected at least 1, got 0"),
                (json!({"port": 65536}), "`port`: expected at most 65535, got 65536"),
                (json!({"port": 1, "zone": "dmz"}), "`zone`: expected one of \"lan\", \"wan\", got \"dmz\""),
                (json!({"port": 1, "name": 5}), "`name`: expected string or null, got 5"),
                (json!({"port": 1, "name": "é"}), "`name`: expected at least 2 characters, got 1"),
                (json!({"port": 1, "name": "abcde"}), "`name`: expected at most 4 characters, got 5"),
                (json!({"port": 1, "rules": {}}), "`rules`: expected array, got {}"),
                (json!({"port": 1, "rules": [{}]}), "`rules[0].chain`: missing"),
                (json!({"port": 1, "rules": [{"chain": "x"}]}), "`rules[0].chain`: expected \"input\", got \"x\""),
                (json!({"port": 1, "rules": [1, 2, 3, 4]}), "`rules`: expected at most 3 items, got 4"),
                (
                    json!({"port": 1, "rules": [{"chain": "input"}, {"chain": "input"}]}),
                    "`rules`: items 0 and 1 are the same; no two may be",
                ),
                (
                    json!({"port": 1, "rules": [{"chain": "input", "rate": 0.25}]}),
                    "`rules[0].rate`: expected a multiple of 0.1, got 0.25",
                ),
                (
                    json!({"port": 1, "rules": [{"chain": "input", "rate": 0}]}),
                    "`rules[0].rate`: expected more than 0, got 0",
                ),
                (
                    json!({"port": 1, "rules": [{"chain": "input", "to": 1}]}),
                    "`rules[0].to`: unknown member; known are chain, rate",
                ),
                (
                    json!({"port": 1, "prot": 2}),
                    "`prot`: unknown argument; known are name, \"odd name\", port, rules, zone",
                ),
                (json!({"port": 1, "odd name": 2}), "`[\"odd name\"]`: not allowed"),
            ],
        );
    }

    #[test]
    fn f37_objects_and_arrays_are_checked_by_all_their_keywords() {
        table(
            &json!({"minProperties": 1, "maxProperties": 2, "propertyNames": {"maxLength": 3},
                "dependentRequired": {"a": ["b"]},
                "dependentSchemas": {"c": {"required": ["d"]}}}),
            &[
                (json!({"n1": 1, "x": "y"}), ""),
                (json!({}), "expected at least 1 member, got 0"),
                (json!({"a": 1, "b": 1, "e": 1}), "expected at most 2 members, got 3"),
                (json!({"long": 1}), "`long` (its name): expected at most 3 characters, got 4"),
                (json!({"a": 1}), "`b`: missing; needed because a is given"),
                (json!({"c": 1}), "`d`: missing"),
            ],
        );
        table(
            &json!({"required": ["a", "b b", "c"]}),
            &[(json!({"a": 1}), "`[\"b b\"]`: missing, and c"), (json!({}), "`a`: missing, and \"b b\", and c")],
        );
        table(
            &json!({"prefixItems": [{"type": "string"}, true], "items": false, "minItems": 1}),
            &[
                (json!(["a", 1]), ""),
                (json!([]), "expected at least 1 item, got 0"),
                (json!([1]), "`[0]`: expected string, got 1"),
                (json!(["a", 1, 2]), "expected at most 2 items, got 3"),
            ],
        );
        table(
            &json!({"contains": {"type": "integer"}, "minContains": 2, "maxContains": 3}),
            &[
                (json!([1, "a", 2]), ""),
                (json!([1]), "expected at least 2 items that fit `contains`, got 1"),
                (json!([1, 2, 3, 4]), "expected at most 3 items that fit `contains`, got 4"),
            ],
        );
        table(&json!({"contains": false, "minContains": 0}), &[(json!([]), ""), (json!([1]), "")]);
    }

    #[test]
    fn f37_alternatives_are_told_in_the_words_of_those_that_were_meant() {
        let kinds = json!({"oneOf": [
            {"type": "object", "properties": {"kind": {"const": "tcp"}, "port": {"type": "integer"}}, "required": ["port"]},
            {"type": "object", "properties": {"kind": {"const": "icmp"}}, "required": ["code"]},
            {"type": "string"}
        ]});
        table(
            &kinds,
            &[
                (json!("any"), ""),
                (json!({"kind": "tcp", "port": 1}), ""),
                (json!({"kind": "icmp"}), "`code`: missing"),
                (json!({"kind": "tcp", "port": "1"}), "`port`: expected integer, got \"1\""),
                (json!({"kind": 1}), "`port`: missing; or `code`: missing"),
                (json!(null), "expected string or object, got null"),
                (json!({"port": 1, "code": 1}), "fits alternatives 0 and 1 of `oneOf`; exactly one is expected"),
            ],
        );
        table(
            &json!({"properties": {"a": {"not": {"type": "null"}}}, "if": {"required": ["a"]}, "then": {"required": ["b"]},
                "else": {"required": ["c"]}}),
            &[
                (json!({"a": 1, "b": 1}), ""),
                (json!({"a": null, "b": 1}), "`a`: excluded by `not`, got null"),
                (json!({"a": 1}), "`b`: missing"),
                (json!({}), "`c`: missing"),
            ],
        );
    }

    #[test]
    fn f170_a_schema_with_definitions_anchors_and_conditions_holds() {
        let schema = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "$defs": {"address": {"$anchor": "addressDef", "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
            "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"}, "email": {"type": "string"}},
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
            "then": {"required": ["phone"]}, "else": {"required": ["email"]},
            "additionalProperties": false});
        table(
            &schema,
            &[
                (json!({"contactMethod": "phone", "phone": "1", "address": {"city": "Ulm"}}), ""),
                (json!({"email": "a@b"}), ""),
                (json!({"name": "Ada"}), "`phone`: missing; or `email`: missing"),
                (json!({"contactMethod": "phone", "email": "a@b"}), "`phone`: missing"),
                (json!({"phone": "1"}), "`email`: missing"),
                (json!({"email": "a", "address": {"city": 1}}), "`address.city`: expected string, got 1"),
            ],
        );
    }

    #[test]
    fn f170_references_lead_anywhere_in_the_document() {
        let tree = json!({"$id": "https://example.com/tree", "type": "object", "required": ["value"],
            "properties": {"value": {"type": "integer"}, "nodes": {"type": "array", "items": {"$ref": "#"}}}});
        table(
            &tree,
            &[
                (json!({"value": 1, "nodes": [{"value": 2, "nodes": []}]}), ""),
                (json!({"value": 1, "nodes": [{"value": 2, "nodes": [{}]}]}), "`nodes[0].nodes[0].value`: missing"),
            ],
        );
        for reference in
            ["#/$defs/a~1b%25~0", "#here", "https://example.com/x#here", "#/$defs/list/prefixItems/0", "#/x-own/a"]
        {
            let schema = json!({"$id": "https://example.com/x", "items": {"$ref": reference}, "x-own": {"a": {"type": "string"}},
                "$defs": {"a/b%~": {"type": "string", "$anchor": "here"}, "list": {"prefixItems": [{"type": "string"}]}}});
            table(&schema, &[(json!(["a"]), ""), (json!([1]), "`[0]`: expected string, got 1")]);
        }
        // As draft-07 has it.
        table(
            &json!({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"$ref": "#/definitions/s"}],
                "additionalItems": false, "definitions": {"s": {"type": "string"}}, "dependencies": {"a": ["b"]}}),
            &[
                (json!(["a"]), ""),
                (json!([1]), "`[0]`: expected string, got 1"),
                (json!(["a", 1]), "expected at most 1 item, got 2"),
                (json!({"a": 1}), "`b`: missing; needed because a is given"),
            ],
        );
    }

    #[test]
    fn f170_what_cannot_be_checked_whole_is_refused() {
        let draft_07 = "http://json-schema.org/draft-07/schema#";
        for (schema, words) in [
            (json!(5), "the schema: expected a schema"),
            (
                json!({"properties": {"a": {"unevaluatedProperties": false}}}),
                "`/properties/a/unevaluatedProperties`: not",
            ),
            (json!({"unevaluatedItems": false}), "`/unevaluatedItems`: not"),
            (json!({"$dynamicRef": "#a"}), "`/$dynamicRef`: not supported"),
            (
                json!({"items": {"$ref": "https://example.com/a.json"}}),
                "`/items/$ref`: \"https://example.com/a.json\" leads",
            ),
            (json!({"$ref": "#/$defs/none"}), "`/$ref`: there is no \"#/$defs/none\""),
            (json!({"$ref": "#none"}), "there is no"),
            (json!({"$ref": "#%f"}), "% codes"),
            (json!({"$ref": "#"}), "`/$ref`: leads back to itself"),
            (
                json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]},
                "b": {"not": {"$ref": "#/$defs/a"}}}}),
                "leads back to itself",
            ),
            (json!({"$schema": "http://json-schema.org/draft-04/schema#"}), "`/$schema`: \"http"),
            (json!({"$schema": draft_07, "minContains": 1}), "`/minContains`: not in draft-07"),
            (json!({"$schema": draft_07, "$ref": "#/definitions/a", "minimum": 1}), "`/minimum`: does not count"),
            (json!({"properties": {"a": {"$id": "b"}}}), "`/properties/a/$id`: only the root"),
            (json!({"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}), "the same anchor"),
            (json!({"items": [{}]}), "`/items`: expected one schema; write `prefixItems`"),
            (json!({"additionalItems": false}), "`/additionalItems`: not in 2020-12"),
            (json!({"type": "int"}), "`/type`: expected string, integer"),
            (json!({"type": []}), "`/type`: expected at least one"),
            (json!({"minimum": "1"}), "`/minimum`: expected a number"),
            (json!({"exclusiveMinimum": true}), "`/exclusiveMinimum`: expected a number"),
            (json!({"multipleOf": 0}), "`/multipleOf`: expected more than 0"),
            (json!({"minLength": -1}), "`/minLength`: expected a whole number"),
            (json!({"maxItems": 1.5}), "`/maxItems`: expected a whole number"),
            (json!({"required": true}), "`/required`: expected an array of names"),
            (json!({"anyOf": []}), "`/anyOf`: expected an array of schemas"),
            (json!({"properties": {"a/b~": 1}}), "`/properties/a~1b~0`: expected a schema"),
            (json!({"pattern": "(?=a)"}), "`/pattern`: /(?=a)/ cannot be matched"),
            (json!({"uniqueItems": 1}), "`/uniqueItems`: expected true or false"),
        ] {
            let error = Schema::compile(&schema).unwrap_err();
            assert!(error.starts_with(words) || error.contains(words), "{schema}: {error}");
        }
    }

    fn nested(levels: usize, innermost: Value, around: impl Fn(Value) -> Value) -> Value {
        (0..levels).fold(innermost, |inner, _| around(inner))
    }

    #[test]
    fn f170_the_bounds_on_schemas_hold() {
        let deep = |levels| Schema::compile(&nested(levels, json!(true), |inner| json!({"items": inner})));
        assert!(deep(64).is_ok());
        assert!(deep(65).unwrap_err().contains("nested deeper than 64"));
        let wide = |count| Schema::compile(&json!({"prefixItems": vec![json!({}); count]}));
        assert!(wide(4095).is_ok());
        assert!(wide(4096).unwrap_err().contains("more than 4096"));
        let chain: serde_json::Map<_, _> =
            (0..80).map(|i| (format!("d{i}"), json!({"$ref": format!("#/$defs/d{}", i + 1)}))).collect();
        let mut chain = json!({"$defs": chain, "$ref": "#/$defs/d0"});
        chain["$defs"]["d80"] = json!(true);
        assert!(Schema::compile(&chain).unwrap_err().contains("more than 64 schemas apply"));
    }

    #[test]
    fn f170_a_check_ends_whatever_the_value() {
        let spent = "too large to be checked (more than 100000 steps); send less at once";
        let numbers = |count: u32| Value::from((0..count).collect::<Vec<_>>());
        table(&json!({"uniqueItems": true}), &[(numbers(50_000), ""), (numbers(100_001), spent)]);
        table(&json!({"items": {"type": "integer"}}), &[(numbers(40_000), ""), (numbers(100_001), spent)]);
        // Two to the power of thirty ways, for a schema of a few lines.
        let fork: serde_json::Map<_, _> = (0..30)
            .map(|i| (format!("d{i}"), json!({"allOf": vec![json!({"$ref": format!("#/$defs/d{}", i + 1)}); 2]})))
            .chain([("d30".into(), json!(true))])
            .collect();
        table(&json!({"$defs": fork, "not": {"not": {"$ref": "#/$defs/d0"}}}), &[(json!(1), spent)]);
        // From the wire come 64 levels; a handler may build more.
        let tree = json!({"properties": {"in": {"$ref": "#"}}, "additionalProperties": false});
        let value = |levels| nested(levels, json!({}), |inner| json!({"in": inner}));
        let deep = "nested too deeply to be checked (more than 256 levels)";
        table(&tree, &[(value(64), ""), (value(255), ""), (value(300), deep)]);
        let long = nested(200, json!({"x": 1}), |inner| json!({"in": inner}));
        let error = Schema::compile(&tree).unwrap().check(&long).unwrap_err();
        assert!(error.starts_with("`….in.in") && error.len() <= 300, "{error}");
    }

    #[test]
    fn a_sentence_has_at_most_300_bytes_and_quotes_no_control_characters() {
        let odd = "é\n\u{7f}\u{85}".repeat(100);
        let names: serde_json::Map<_, _> =
            (0..100).map(|i| (format!("{}{i}", "é\n".repeat(30)), json!({"enum": [odd, odd]}))).collect();
        let schema = json!({"type": "object", "properties": names, "additionalProperties": false,
            "anyOf": [{"minProperties": 5}, {"required": [odd]}, {"enum": [odd, odd]}]});
        let compiled = Schema::compile(&schema).unwrap();
        let known = format!("{}7", "é\n".repeat(30));
        for value in [json!({}), json!(odd), json!({"a": 1}), json!({known: odd}), json!({odd.repeat(20): odd})] {
            let error = compiled.check(&value).unwrap_err();
            assert!(error.len() <= 300 && !error.contains(char::is_control), "{} {error}", error.len());
        }
    }
}
