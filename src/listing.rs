//! Lists in pages (F-70). A cursor names the last entry that was shown; it is sealed, belongs to the one who got it,
//! and is good on every instance with the same key.

use serde_json::Map;

use crate::access::Item;
use crate::jsonrpc::{Error, prefix, write_json};
use crate::mcp::compat::Writer;
use crate::mcp::describe::Cache;
use crate::members::Members;
use crate::revision::Revision;

/// Something that stands in a list.
pub(crate) trait Listed {
    /// What names it in its list.
    fn key(&self) -> &str;
    fn item(&self) -> Item<'_>;
    /// Appends its entry as JSON.
    fn write(&self, out: &mut Vec<u8>, revision: Revision);
}

/// The entries of one kind as entries of any: what makes pages of them is there once, not once for each kind.
pub(crate) fn all<L: Listed>(entries: &[L]) -> impl Iterator<Item = &dyn Listed> {
    entries.iter().map(|entry| entry as &dyn Listed)
}

/// The cursor in the params of a list.
pub(crate) fn cursor(params: &Members<'_>) -> Result<Option<String>, Error> {
    Ok(params.text("cursor")?.map(Into::into))
}

/// The error for a cursor that is not ours, or not this one's.
pub(crate) fn bad_cursor() -> Error {
    Error::invalid_params("cursor: not one of ours for this list; list again without it")
}

/// The error for a name that nothing in the list has, or nothing that this one may use.
pub(crate) fn unknown(what: &str, name: &str) -> Error {
    Error::invalid_params(format!("unknown {what} {:?}; {what}s/list names all there are", prefix(name, 128)))
}

/// How a list is cut and shown.
pub(crate) struct Page<'a> {
    /// The list's member in the result.
    pub(crate) name: &'static str,
    /// Behind which entry it begins.
    pub(crate) after: Option<&'a str>,
    pub(crate) items_max: usize,
    pub(crate) revision: Revision,
    pub(crate) cache: Cache,
}

impl Page<'_> {
    /// Writes one page of `entries` as a result; `seal` makes the cursor for the next.
    pub(crate) fn write(
        &self,
        mut writer: Writer<'_>,
        mut entries: &mut dyn Iterator<Item = &dyn Listed>,
        may_use: &dyn Fn(Item<'_>) -> bool,
        seal: &dyn Fn(&str) -> String,
    ) -> Result<(), Error> {
        if let Some(after) = self.after
            && !(&mut entries).any(|entry| entry.key() == after)
        {
            return Err(bad_cursor());
        }
        let mut allowed = entries.filter(|entry| may_use(entry.item()));
        let out = writer.member(self.name);
        out.push(b'[');
        let mut last = None;
        for entry in allowed.by_ref().take(self.items_max.max(1)) {
            if last.is_some() {
                out.push(b',');
            }
            entry.write(out, self.revision);
            last = Some(entry);
        }
        out.push(b']');
        if let Some(last) = last
            && allowed.next().is_some()
        {
            write_json(writer.member("nextCursor"), &seal(last.key()));
        }
        writer.end(Some(self.cache), &Map::new());
        Ok(())
    }
}
