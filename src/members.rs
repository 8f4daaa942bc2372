//! The members of a small object, as they stand in the text: params, `_meta`, and what is in them.
//!
//! One reader for all of them, in place of a type for each: it names what is wrong in the words of the one who must
//! mend it, and what nobody asks for is never looked at (F-3).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::jsonrpc::{Error, prefix, read_string};
use crate::seen::offset;

/// The members of an object. Borrows from the text.
#[derive(Debug, Default)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The members of `raw`, if it is an object.
    pub(crate) fn read(raw: &'a RawValue) -> Option<Members<'a>> {
        // Asked first: an error of the parser's is made to be read, and nobody would.
        raw.get().starts_with('{').then(|| serde_json::from_str(raw.get()).ok())?
    }

    /// The same, but no more than it takes to see that there are too many.
    pub(crate) fn read_some(raw: &'a RawValue) -> Option<Members<'a>> {
        let ObjectOr(members) = serde_json::from_str(raw.get()).ok()?;
        members
    }

    /// A member; one that is `null` is not there. Linear in members: for the few that have names of ours.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(key, _)| key == name)?;
        Some(found.1).filter(|raw| raw.get() != "null")
    }

    /// A member that is an object itself.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Members<'a>>, Error> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        Members::read(raw).map(Some).ok_or_else(|| wrong(name, "an object", Some(raw)))
    }

    /// A member that is text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, Error> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        read_string(raw).map(Some).ok_or_else(|| wrong(name, "a string", Some(raw)))
    }

    /// A member that is text and must be there.
    pub(crate) fn required(&self, name: &str) -> Result<Cow<'a, str>, Error> {
        self.text(name)?.ok_or_else(|| wrong(name, "a string", None))
    }

    /// Puts `raw` in the place of a member that is the one byte at `at` in `text`; false if it is not.
    pub(crate) fn put_back(&mut self, name: &str, raw: &'a RawValue, text: &[u8], at: usize) -> bool {
        let found = self.0.iter_mut().find(|(key, _)| key == name);
        let found = found.filter(|(_, cut)| cut.get().len() == 1 && offset(cut.get().as_bytes(), text) == Some(at));
        found.map(|member| member.1 = raw).is_some()
    }

    /// Has every one a name of its own? The last of two would win here, the first at a proxy in front of us.
    ///
    /// # Errors
    /// −32600 with the name; or if there are more than 64, which bounds the search.
    pub(crate) fn distinct(&self) -> Result<(), Error> {
        if self.0.len() > MEMBERS_MAX {
            return Err(too_many());
        }
        for (at, (name, _)) in self.0.iter().enumerate() {
            if self.0[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(twice(name));
            }
        }
        Ok(())
    }

    /// Name and value of each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, raw)| (&**key, *raw))
    }
}

/// More members than this are refused in a message, its params and its `_meta`.
pub(crate) const MEMBERS_MAX: usize = 64;

pub(crate) fn too_many() -> Error {
    Error::invalid_request(format!("more than {MEMBERS_MAX} members in the message, its params or its _meta"))
}

pub(crate) fn twice(name: &str) -> Error {
    Error::invalid_request(format!("key {:?} stands twice in one object", prefix(name, 64)))
}

/// The error for a member that is not what it should be.
pub(crate) fn wrong(name: &str, expected: &str, got: Option<&RawValue>) -> Error {
    let name = prefix(name, 64);
    Error::invalid_params(match got {
        Some(raw) => format!("`{name}`: expected {expected}, got {}", prefix(raw.get(), 64)),
        None => format!("`{name}`: missing; expected {expected}"),
    })
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Members<'a>, D::Error> {
        from.deserialize_map(Reader { most: usize::MAX }).map(Members)
    }
}

/// Reads an object's members; those behind the first so many are passed over.
struct Reader {
    most: usize,
}

impl<'de> Visitor<'de> for Reader {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(4);
        while let Some(Key(key)) = map.next_key()? {
            if members.len() < self.most {
                members.push((key, map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(members)
    }
}

/// The members of an object, and one more than are allowed if there are more; none of `null`; or that it is something else.
#[derive(Debug)]
pub(crate) struct ObjectOr<'a>(pub(crate) Option<Members<'a>>);

impl Default for ObjectOr<'_> {
    fn default() -> Self {
        ObjectOr(Some(Members::default()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ObjectOr<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<ObjectOr<'a>, D::Error> {
        struct Anything;
        impl<'de> Visitor<'de> for Anything {
            type Value = Option<Members<'de>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Reader { most: MEMBERS_MAX + 1 }.visit_map(map).map(|members| Some(Members(members)))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Some(Members::default()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(None)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(None)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(None)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(None)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(None)
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(None)
            }
        }
        from.deserialize_any(Anything).map(ObjectOr)
    }
}

/// A key, borrowed if it has no escapes.
pub(crate) struct Key<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Key<'a>, D::Error> {
        struct Word;
        impl<'de> Visitor<'de> for Word {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
                Ok(key.into())
            }

            fn visit_str<E>(self, key: &str) -> Result<Cow<'de, str>, E> {
                Ok(key.to_owned().into())
            }
        }
        from.deserialize_str(Word).map(Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_as_they_stand_and_errors_name_what_was_expected() {
        let raw: &RawValue = serde_json::from_str(r#"{"a":"x","\u0062":"\n","c":null,"d":[1],"e":{"f":2}}"#).unwrap();
        let members = Members::read(raw).unwrap();
        assert_eq!((&*members.required("a").unwrap(), &*members.required("b").unwrap()), ("x", "\n"));
        assert!(members.text("c").unwrap().is_none() && members.get("z").is_none());
        assert_eq!(members.required("c").unwrap_err().message, "`c`: missing; expected a string");
        assert_eq!(members.required("d").unwrap_err().message, "`d`: expected a string, got [1]");
        assert_eq!(members.object("e").unwrap().unwrap().get("f").unwrap().get(), "2");
        assert!(members.object("a").is_err());
        let array: &RawValue = serde_json::from_str("[1]").unwrap();
        assert!(Members::read(array).is_none());
        assert_eq!(Members::default().iter().count(), 0);
    }
}
