//! A value against a compiled schema.
//!
//! Nothing is built on the way: where the check stands is a list on the stack, and a sentence is made when there
//! is a fault to tell. Under `anyOf`, `not` and their like a fault is no news, and nothing is written at all.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::effort::{Effort, Spent};
use super::equal::{equal, twins};
use super::number::Num;
use super::place::{self, Place, quote};
use super::{Array, Count, Node, Object, Rule, Side, Types};

/// So many alternatives are told about.
const TOLD_MAX: usize = 3;

/// What is counted: one, and any other number of it.
const CHARACTERS: (&str, &str) = ("character", "characters");
const MEMBERS: (&str, &str) = ("member", "members");
const ITEMS: (&str, &str) = ("item", "items");
const CONTAINED: (&str, &str) = ("item that fits `contains`", "items that fit `contains`");

/// Why a check ends early. One byte, which every step hands on.
enum Stop {
    /// The value does not fit; [`Check::sentence`] says why.
    Fault,
    /// Unknown whether it fits.
    Spent(Spent),
}

impl From<Spent> for Stop {
    fn from(spent: Spent) -> Stop {
        Stop::Spent(spent)
    }
}

type Verdict = Result<(), Stop>;

/// Checks `value` against the first node.
pub(super) fn check(nodes: &[Node], value: &Value) -> Result<(), String> {
    let mut check = Check { nodes, effort: Effort::new(), quiet: false, sentence: String::new() };
    match check.node(0, value, &Place::Root) {
        Ok(()) => Ok(()),
        Err(Stop::Fault) => Err(check.sentence),
        Err(Stop::Spent(spent)) => Err(spent.sentence()),
    }
}

struct Check<'s> {
    nodes: &'s [Node],
    effort: Effort,
    quiet: bool,
    /// About the last fault, if it was asked for.
    sentence: String,
}

impl<'s> Check<'s> {
    fn node(&mut self, node: usize, value: &Value, place: &Place<'_>) -> Verdict {
        let rules = self.rules(node);
        self.effort.spend(1 + rules.len())?;
        self.effort.enter()?;
        let mut verdict = Ok(());
        for rule in rules {
            verdict = self.rule(rule, value, place);
            if verdict.is_err() {
                break;
            }
        }
        self.effort.leave();
        verdict
    }

    /// The rules of a node, behind any nodes that are nothing but a `$ref`; these lead nowhere in circles, `loops` saw to it.
    fn rules(&self, mut node: usize) -> &'s [Rule] {
        loop {
            match self.nodes[node].rules.as_slice() {
                [Rule::Ref(target)] => node = *target,
                rules => return rules,
            }
        }
    }

    fn rule(&mut self, rule: &Rule, value: &Value, place: &Place<'_>) -> Verdict {
        let fits = match (rule, value) {
            (Rule::Never, _) => return self.fault(place, &|| "not allowed".into()),
            (Rule::Type(types), _) => types.admits(value),
            (Rule::Enum(allowed), _) => self.is_one_of(allowed, value)?,
            (Rule::Bound(side, bound), Value::Number(number)) => is_within(*side, Num::of(number), *bound),
            (Rule::MultipleOf(divisor), Value::Number(number)) => divisor.divides(number),
            (Rule::Length(count), Value::String(text)) => {
                self.effort.spend(text.len() / 64)?;
                return self.count(*count, text.chars().count(), CHARACTERS, place);
            }
            (Rule::Pattern(pattern), Value::String(text)) => {
                self.effort.spend(pattern.steps(text))?;
                pattern.matches(text)
            }
            (Rule::Object(object), Value::Object(members)) => return self.object(object, members, value, place),
            (Rule::Array(array), Value::Array(items)) => return self.array(array, items, place),
            (Rule::Ref(target), _) => return self.node(*target, value, place),
            (Rule::All(parts), _) => return parts.iter().try_for_each(|part| self.node(*part, value, place)),
            (Rule::Any(alternatives), _) => return self.any(alternatives, value, place),
            (Rule::One(alternatives), _) => return self.one(alternatives, value, place),
            (Rule::Not(excluded), _) => !self.fits(*excluded, value, place)?,
            (Rule::If { condition, then, otherwise }, _) => {
                let branch = if self.fits(*condition, value, place)? { then } else { otherwise };
                return branch.map_or(Ok(()), |branch| self.node(branch, value, place));
            }
            _ => true,
        };
        if fits {
            return Ok(());
        }
        self.fault(place, &|| format!("{}, got {}", expected(rule), quote(value)))
    }

    #[cold]
    #[inline(never)]
    fn fault(&mut self, place: &Place<'_>, message: &dyn Fn() -> String) -> Verdict {
        if !self.quiet {
            self.sentence = place.sentence(&message());
        }
        Err(Stop::Fault)
    }

    /// Whether the value fits, without a word.
    fn fits(&mut self, node: usize, value: &Value, place: &Place<'_>) -> Result<bool, Stop> {
        let quiet = std::mem::replace(&mut self.quiet, true);
        let verdict = self.node(node, value, place);
        self.quiet = quiet;
        match verdict {
            Ok(()) => Ok(true),
            Err(Stop::Fault) => Ok(false),
            Err(spent) => Err(spent),
        }
    }

    fn is_one_of(&mut self, allowed: &[Value], value: &Value) -> Result<bool, Stop> {
        for one in allowed {
            if equal(one, value, &mut self.effort)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn count(&mut self, count: Count, number: usize, of: (&str, &str), place: &Place<'_>) -> Verdict {
        let (words, bound) = match number {
            _ if number < count.min => ("at least", count.min),
            _ if number > count.max => ("at most", count.max),
            _ => return Ok(()),
        };
        let of = if bound == 1 { of.0 } else { of.1 };
        self.fault(place, &|| format!("expected {words} {bound} {of}, got {number}"))
    }

    fn object(&mut self, object: &Object, members: &Map<String, Value>, value: &Value, place: &Place<'_>) -> Verdict {
        self.effort.spend(object.required.len() + object.dependent_required.len() + object.dependent_schemas.len())?;
        let mut missing = object.required.iter().filter(|name| !members.contains_key(&***name));
        if let Some(first) = missing.next() {
            // All of them at once: whoever sends them again need not be told again.
            let others =
                || missing.clone().fold("missing".to_owned(), |words, other| words + ", and " + &*place::name(other));
            return self.fault(&Place::Member(place, first), &others);
        }
        self.count(object.count, members.len(), MEMBERS, place)?;
        for (name, member) in members {
            self.member(object, name, member, place)?;
        }
        for (present, needed) in &object.dependent_required {
            if !members.contains_key(&**present) {
                continue;
            }
            self.effort.spend(needed.len())?;
            if let Some(name) = needed.iter().find(|name| !members.contains_key(&***name)) {
                let because = || format!("missing; needed because {} is given", place::name(present));
                return self.fault(&Place::Member(place, name), &because);
            }
        }
        for (present, schema) in &object.dependent_schemas {
            if members.contains_key(&**present) {
                self.node(*schema, value, place)?;
            }
        }
        Ok(())
    }

    fn member(&mut self, object: &Object, name: &str, member: &Value, place: &Place<'_>) -> Verdict {
        self.effort.spend(1)?;
        if let Some(names) = object.names {
            self.effort.spend(name.len() / 64)?;
            self.node(names, &Value::from(name), &Place::Name(place, name))?;
        }
        let here = Place::Member(place, name);
        let mut known = false;
        if let Ok(at) = object.properties.binary_search_by(|(property, _)| (**property).cmp(name)) {
            known = true;
            self.node(object.properties[at].1, member, &here)?;
        }
        for (pattern, schema) in &object.patterns {
            self.effort.spend(pattern.steps(name))?;
            if pattern.matches(name) {
                known = true;
                self.node(*schema, member, &here)?;
            }
        }
        let Some(additional) = object.additional.filter(|_| !known) else { return Ok(()) };
        if let [Rule::Never] = self.rules(additional) {
            return self.fault(&here, &|| unknown(object, place));
        }
        self.node(additional, member, &here)
    }

    fn array(&mut self, array: &Array, items: &[Value], place: &Place<'_>) -> Verdict {
        self.count(array.count, items.len(), ITEMS, place)?;
        for (at, item) in items.iter().enumerate() {
            let Some(schema) = array.prefix.get(at).copied().or(array.items) else { break };
            if at >= array.prefix.len()
                && let [Rule::Never] = self.rules(schema)
            {
                let most = Count { min: 0, max: array.prefix.len() };
                return self.count(most, items.len(), ITEMS, place);
            }
            self.node(schema, item, &Place::Item(place, at))?;
        }
        if array.unique
            && let Some((first, second)) = twins(items, &mut self.effort)?
        {
            return self.fault(place, &|| format!("items {first} and {second} are the same; no two may be"));
        }
        let Some((contained, count)) = array.contains else { return Ok(()) };
        let mut found = 0;
        for (at, item) in items.iter().enumerate() {
            if found > count.max || (found >= count.min && count.max == usize::MAX) {
                break;
            }
            found += usize::from(self.fits(contained, item, &Place::Item(place, at))?);
        }
        self.count(count, found, CONTAINED, place)
    }

    fn any(&mut self, alternatives: &[usize], value: &Value, place: &Place<'_>) -> Verdict {
        for alternative in alternatives {
            if self.fits(*alternative, value, place)? {
                return Ok(());
            }
        }
        self.none_fits(alternatives, value, place)
    }

    fn one(&mut self, alternatives: &[usize], value: &Value, place: &Place<'_>) -> Verdict {
        let mut fitting = None;
        for (at, alternative) in alternatives.iter().enumerate() {
            if !self.fits(*alternative, value, place)? {
                continue;
            }
            if let Some(first) = fitting.replace(at) {
                return self.fault(place, &|| {
                    format!("fits alternatives {first} and {at} of `oneOf`; exactly one is expected")
                });
            }
        }
        if fitting.is_some() { Ok(()) } else { self.none_fits(alternatives, value, place) }
    }

    /// Tells what is wrong in the words of the alternatives that were meant: those of the value's type, and among
    /// these the ones whose constants it has.
    fn none_fits(&mut self, alternatives: &[usize], value: &Value, place: &Place<'_>) -> Verdict {
        if self.quiet || alternatives.is_empty() {
            self.sentence.clear();
            return Err(Stop::Fault);
        }
        let mut types = Types::NONE;
        let mut meant = Vec::new();
        for alternative in alternatives {
            match self.rules(*alternative).first() {
                Some(Rule::Type(own)) if !own.admits(value) => types = types.with(*own),
                _ => meant.push(*alternative),
            }
        }
        if meant.is_empty() {
            return self.fault(place, &|| format!("expected {}, got {}", types.names(), quote(value)));
        }
        let mut tagged = Vec::new();
        for alternative in &meant {
            if self.has_constants(*alternative, value)? {
                tagged.push(*alternative);
            }
        }
        let meant = if tagged.is_empty() { meant } else { tagged };
        let mut sentence = String::new();
        for alternative in meant.iter().take(TOLD_MAX) {
            match self.node(*alternative, value, place) {
                Ok(()) => {}
                Err(Stop::Fault) if sentence.contains(&self.sentence) => {}
                Err(Stop::Fault) => {
                    sentence.push_str(if sentence.is_empty() { "" } else { "; or " });
                    sentence.push_str(&self.sentence);
                }
                Err(spent) => return Err(spent),
            }
        }
        if meant.len() > TOLD_MAX {
            sentence.push_str("; or …");
        }
        // It names its place itself.
        self.sentence = Place::Root.sentence(&sentence);
        Err(Stop::Fault)
    }

    /// Whether no property of the value contradicts a `const` or `enum` that the alternative has for it.
    fn has_constants(&mut self, alternative: usize, value: &Value) -> Result<bool, Stop> {
        let object = self.rules(alternative).iter().find_map(|rule| match rule {
            Rule::Object(object) => Some(object),
            _ => None,
        });
        let (Some(object), Value::Object(members)) = (object, value) else { return Ok(true) };
        for (name, schema) in &object.properties {
            self.effort.spend(1)?;
            let Some(member) = members.get(&**name) else { continue };
            for rule in self.rules(*schema) {
                if let Rule::Enum(allowed) = rule
                    && !self.is_one_of(allowed, member)?
                {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn is_within(side: Side, number: Num, bound: Num) -> bool {
    number.compare(bound).is_some_and(|order| match side {
        Side::AtLeast => order != Ordering::Less,
        Side::MoreThan => order == Ordering::Greater,
        Side::AtMost => order != Ordering::Greater,
        Side::LessThan => order == Ordering::Less,
    })
}

/// What a rule about the value itself expects.
fn expected(rule: &Rule) -> String {
    match rule {
        Rule::Type(types) => format!("expected {}", types.names()),
        Rule::Enum(allowed) => format!("expected {}", place::quote_all(allowed)),
        Rule::Bound(Side::AtLeast, bound) => format!("expected at least {bound}"),
        Rule::Bound(Side::MoreThan, bound) => format!("expected more than {bound}"),
        Rule::Bound(Side::AtMost, bound) => format!("expected at most {bound}"),
        Rule::Bound(Side::LessThan, bound) => format!("expected less than {bound}"),
        Rule::MultipleOf(divisor) => format!("expected a multiple of {divisor}"),
        Rule::Pattern(pattern) => format!("expected a match of /{}/", place::cut(pattern.as_str(), 120)),
        _ => "excluded by `not`".into(),
    }
}

/// That a member is unknown, and which are not.
fn unknown(object: &Object, parent: &Place<'_>) -> String {
    let what = if parent.is_root() { "argument" } else { "member" };
    if object.properties.is_empty() {
        return format!("unknown {what}; none is known");
    }
    format!(
        "unknown {what}; known are {}",
        place::list(&mut object.properties.iter().map(|(name, _)| place::name(name)))
    )
}
