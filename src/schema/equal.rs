//! When two values are the same (2020-12 core, section 4.2.2), and whether a list has two that are.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::effort::{Effort, Spent};
use super::number::Num;

/// So few items are compared each with each, without a list of their digests.
const PAIRWISE_MAX: usize = 16;

/// Whether `a` is `b`: 1 is 1.0, and the order of members does not matter.
pub(super) fn equal(a: &Value, b: &Value, effort: &mut Effort) -> Result<bool, Spent> {
    effort.spend(1)?;
    match (a, b) {
        (Value::Null, Value::Null) => Ok(true),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Number(a), Value::Number(b)) => Ok(Num::of(a).compare(Num::of(b)) == Some(Ordering::Equal)),
        (Value::String(a), Value::String(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            effort.spend(a.len() / 64)?;
            Ok(a == b)
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            all(a.iter().zip(b).map(|(a, b)| (a, Some(b))), effort)
        }
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
            all(a.iter().map(|(name, a)| (a, b.get(name))), effort)
        }
        _ => Ok(false),
    }
}

fn all<'v>(pairs: impl Iterator<Item = (&'v Value, Option<&'v Value>)>, effort: &mut Effort) -> Result<bool, Spent> {
    for (a, b) in pairs {
        let Some(b) = b else { return Ok(false) };
        effort.enter()?;
        let same = equal(a, b, effort);
        effort.leave();
        if !same? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first item that is the same as one before it, and that one, if any. In long lists only what has the same digest
/// is compared, found through chains of those whose digests end alike: whoever makes many of them runs out of steps.
pub(super) fn twins(items: &[Value], effort: &mut Effort) -> Result<Option<(usize, usize)>, Spent> {
    if items.len() <= PAIRWISE_MAX {
        for (at, item) in items.iter().enumerate() {
            for (earlier, other) in items[..at].iter().enumerate() {
                if equal(item, other, effort)? {
                    return Ok(Some((earlier, at)));
                }
            }
        }
        return Ok(None);
    }
    let mut newest = vec![NOBODY; items.len().next_power_of_two()];
    // Digest, and who came before in the same chain.
    let mut digests: Vec<(u64, usize)> = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let mut hasher = DefaultHasher::new();
        digest(item, &mut hasher, effort)?;
        let own = hasher.finish();
        let chain = own as usize & (newest.len() - 1);
        let before = std::mem::replace(&mut newest[chain], at);
        let (mut other, mut links) = (before, 0);
        while let Some((digest, next)) = digests.get(other) {
            if *digest == own && equal(&items[other], item, effort)? {
                return Ok(Some((other, at)));
            }
            other = *next;
            links += 1;
        }
        effort.spend(links / 64)?;
        digests.push((own, before));
    }
    Ok(None)
}

/// The end of a chain.
const NOBODY: usize = usize::MAX;

/// Equal values have equal digests.
fn digest(value: &Value, hasher: &mut DefaultHasher, effort: &mut Effort) -> Result<(), Spent> {
    effort.spend(1)?;
    effort.enter()?;
    match value {
        Value::Null => 0u8.hash(hasher),
        Value::Bool(yes) => yes.hash(hasher),
        Value::Number(number) => Num::of(number).bits().hash(hasher),
        Value::String(text) => {
            effort.spend(text.len() / 64)?;
            text.hash(hasher);
        }
        Value::Array(items) => {
            items.len().hash(hasher);
            for item in items {
                digest(item, hasher, effort)?;
            }
        }
        Value::Object(members) => {
            // Summed up, because members have no order.
            let mut sum = 0u64;
            for (name, member) in members {
                effort.spend(1 + name.len() / 64)?;
                let mut own = DefaultHasher::new();
                name.hash(&mut own);
                digest(member, &mut own, effort)?;
                sum = sum.wrapping_add(own.finish());
            }
            (members.len(), sum).hash(hasher);
        }
    }
    effort.leave();
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_equal_by_what_they_mean_and_equal_values_have_equal_digests() {
        for (a, b, same) in [
            (json!(1), json!(1.0), true),
            (json!(1), json!(true), false),
            (json!(0), json!(false), false),
            (json!(null), json!(0), false),
            (json!("a"), json!("a"), true),
            (json!("a"), json!("b"), false),
            (json!([1, [2]]), json!([1.0, [2.0]]), true),
            (json!([1, 2]), json!([2, 1]), false),
            (json!({"a": 1, "b": [{}]}), json!({"b": [{}], "a": 1.0}), true),
            (json!({"a": 1}), json!({"b": 1}), false),
            (json!({"a": 1}), json!({"a": 1, "b": 1}), false),
        ] {
            assert_eq!(equal(&a, &b, &mut Effort::new()), Ok(same), "{a} {b}");
            // The same in a list that is long enough to be sorted.
            let mut list: Vec<_> = (100..120).map(Value::from).collect();
            list.extend([a, b]);
            assert_eq!(twins(&list, &mut Effort::new()), Ok(same.then_some((20, 21))), "{list:?}");
            assert_eq!(twins(&list[20..], &mut Effort::new()), Ok(same.then_some((0, 1))), "{list:?}");
        }
    }
}
