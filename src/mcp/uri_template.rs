//! URI templates (RFC 6570), read backwards: which variables a concrete URI was expanded from.
//!
//! Two decisions are made here. What a template may be, at registration: every operator of the RFC, but no
//! exploded lists, no prefixes and no two variables side by side, because nothing in a URI tells where such values
//! end. And what a value may be, at matching: percent codes are decoded after the URI was cut, never before,
//! and decoding must not turn one path segment into another. Scheme and host are compared byte for byte; nothing
//! is normalised. Whether the resource exists is the handler's business.

/// A URI longer than this is nobody's, in bytes; old browsers and proxies stop there too.
const URI_BYTES_MAX: usize = 2048;
/// Variables in one template. With the literals between them they have to fit the 64 bits of a mask.
const VARIABLES_MAX: usize = 31;

/// A template that was checked, ready to be matched.
#[derive(Clone, Debug)]
pub(crate) struct UriTemplate {
    text: String,
    /// All but the query expressions; never two variables nor two literals in a row.
    parts: Vec<Part>,
    query: Option<Query>,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Variable { name: String, letters: Letters },
}

/// What may stand in the value of a variable, uncoded.
#[derive(Clone, Debug)]
struct Letters {
    /// `/`, `?`, `#` and the brackets too: `{+x}` and `{#x}`.
    reserved: bool,
    /// The separators that end this value.
    stops: Vec<u8>,
}

/// The query expressions at the end, `{?x,y}` or `{&x,y}`, as one.
#[derive(Clone, Debug)]
struct Query {
    /// `?` or `&`.
    opener: u8,
    /// How many openers the literals hold: the query begins at the next one.
    openers_before: usize,
    names: Vec<String>,
}

impl UriTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// A sentence for who registers it: what is wrong, or recognised and not served, and what to write instead.
    pub(crate) fn parse(text: &str) -> Result<UriTemplate, String> {
        if text.is_empty() || text.len() > URI_BYTES_MAX {
            return Err(format!("a URI template has 1 to {URI_BYTES_MAX} bytes, this one has {}", text.len()));
        }
        let mut template = UriTemplate { text: text.to_owned(), parts: Vec::new(), query: None };
        template.fill().map_err(|why| format!("URI template `{text}`: {why}"))?;
        Ok(template)
    }

    /// The names of its variables, in the order of the template.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        let of_parts = self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Variable { name, .. } => Some(name.as_str()),
        });
        of_parts.chain(self.query.iter().flat_map(|query| query.names.iter().map(String::as_str)))
    }

    /// The variables `uri` was expanded from, in the order of the template and decoded; `None` if it was not.
    ///
    /// A variable takes the longest value that lets the rest match, and never an empty one. Those of a query may come
    /// in any order, empty or not at all (then they are left out), but not twice, and nothing else may stand there.
    ///
    /// The value of `{x}`, `{.x}`, `{/x}` and `{;x}` is within one path segment. No value but that of `{?x}` and `{&x}`
    /// is or has a segment `.` or `..`, and percent codes never yield a `/` or `\` in it (F-44, X-65). Those two may
    /// have slashes and dots: who makes a path of them must check. No value at all has control characters.
    ///
    /// Linear in the length of the URI, times the variables.
    pub(crate) fn matches(&self, uri: &str) -> Option<Vec<(String, String)>> {
        if uri.len() > URI_BYTES_MAX {
            return None;
        }
        let (path, query) = uri.split_at(self.query.as_ref().map_or(uri.len(), |query| query.begins_in(uri)));
        let mut found = self.match_parts(path.as_bytes())?;
        if let Some(expected) = &self.query {
            expected.collect(query, &mut found)?;
        }
        Some(found)
    }

    fn fill(&mut self) -> Result<(), String> {
        let text = self.text.clone();
        let mut rest = text.as_str();
        while let Some((literal, behind)) = rest.split_once('{') {
            self.add_literal(literal)?;
            let Some((expression, behind)) = behind.split_once('}') else {
                return Err("a `{` without its `}`".to_owned());
            };
            self.add_expression(expression).map_err(|why| format!("{{{expression}}}: {why}"))?;
            rest = behind;
        }
        self.add_literal(rest)
    }

    fn add_literal(&mut self, literal: &str) -> Result<(), String> {
        if literal.is_empty() {
            return Ok(());
        }
        if self.query.is_some() {
            return Err(format!("`{literal}` behind a query expression: expected the end, or {{&x}}"));
        }
        let allowed = Letters { reserved: true, stops: Vec::new() };
        let mut at = 0;
        while at < literal.len() {
            let Some(step) = allowed.step(literal.as_bytes(), at) else {
                return Err(format!("`{literal}`: expected what a URI may have, everything else percent-coded"));
            };
            at += step;
        }
        self.push_literal(literal);
        Ok(())
    }

    fn push_literal(&mut self, literal: &str) {
        match self.parts.last_mut() {
            Some(Part::Literal(before)) => before.push_str(literal),
            _ if literal.is_empty() => {}
            _ => self.parts.push(Part::Literal(literal.to_owned())),
        }
    }

    /// What stands between two braces.
    fn add_expression(&mut self, expression: &str) -> Result<(), String> {
        let operator = expression.chars().next().filter(char::is_ascii_punctuation).filter(|c| !"_%*:".contains(*c));
        let names = expression.get(operator.map_or(0, char::len_utf8)..).unwrap_or_default();
        if operator.is_some_and(|operator| !"+#./;?&".contains(operator)) {
            return Err("expected a name or one of the operators + # . / ; ? &".to_owned());
        }
        if self.query.is_some() && operator != Some('&') {
            return Err("behind a query expression: expected the end, or {&x}".to_owned());
        }
        let several = names.contains(',');
        for (at, name) in names.split(',').enumerate() {
            check_name(name)?;
            if self.variables().any(|other| other == name) {
                return Err(format!("`{name}` is there twice; expected another name"));
            }
            if self.variables().count() == VARIABLES_MAX {
                return Err(format!("expected at most {VARIABLES_MAX} variables"));
            }
            match operator {
                Some(opener @ ('?' | '&')) => self.add_to_query(opener, name)?,
                _ => self.add_variable(operator, name, at == 0, several)?,
            }
        }
        Ok(())
    }

    fn add_variable(&mut self, operator: Option<char>, name: &str, first: bool, several: bool) -> Result<(), String> {
        let (opening, separator) = match operator {
            Some('#') => ("#", ","),
            Some('.') => (".", "."),
            Some('/') => ("/", "/"),
            Some(';') => (";", ";"),
            _ => ("", ","),
        };
        self.push_literal(if first { opening } else { separator });
        if operator == Some(';') {
            self.push_literal(&format!("{name}="));
        }
        if let Some(Part::Variable { name: before, .. }) = self.parts.last() {
            return Err(format!("`{before}` stands right before it; expected a character that ends one value"));
        }
        let reserved = matches!(operator, Some('+' | '#'));
        let mut stops = Vec::new();
        if several || operator == Some(';') {
            stops.extend_from_slice(separator.as_bytes());
        }
        // Else `?a={a}&b={b}` would give `a` the parameters between the two.
        if !reserved && self.literals('?') > 0 {
            stops.push(b'&');
        }
        self.parts.push(Part::Variable { name: name.to_owned(), letters: Letters { reserved, stops } });
        Ok(())
    }

    fn add_to_query(&mut self, opener: char, name: &str) -> Result<(), String> {
        if let Some(query) = &mut self.query {
            query.names.push(name.to_owned());
            return Ok(());
        }
        match (opener, self.literals('?') > 0) {
            ('?', true) => return Err("a query has begun already; write {&x}".to_owned()),
            ('&', false) => return Err("no query has begun; write {?x}".to_owned()),
            _ => {}
        }
        let opener = if opener == '?' { b'?' } else { b'&' };
        let openers_before = self.literals(char::from(opener));
        self.query = Some(Query { opener, openers_before, names: vec![name.to_owned()] });
        Ok(())
    }

    /// How often `letter` stands in the literals so far.
    fn literals(&self, letter: char) -> usize {
        let count = |part: &Part| match part {
            Part::Literal(literal) => literal.matches(letter).count(),
            Part::Variable { .. } => 0,
        };
        self.parts.iter().map(count).sum()
    }

    fn match_parts(&self, path: &[u8]) -> Option<Vec<(String, String)>> {
        // Most templates of a server are not meant; they leave here.
        if let Some(Part::Literal(literal)) = self.parts.first()
            && !path.starts_with(literal.as_bytes())
        {
            return None;
        }
        let matching = self.matching(path);
        if matching.first()? & 1 == 0 {
            return None;
        }
        let mut found = Vec::new();
        let mut at = 0;
        for (number, part) in self.parts.iter().enumerate() {
            match part {
                Part::Literal(literal) => at += literal.len(),
                Part::Variable { name, letters } => {
                    let (begin, mut end) = (at, at);
                    while let Some(step) = letters.step(path, at) {
                        at += step;
                        if matching.get(at)? >> (number + 1) & 1 == 1 {
                            end = at;
                        }
                    }
                    at = end;
                    let before = path.get(..begin)?;
                    // Behind a path's slash another would make an absolute path of what a handler takes for a relative one.
                    if path.get(begin) == Some(&b'/') && before.ends_with(b"/") && !before.ends_with(b"://") {
                        return None;
                    }
                    found.push((name.clone(), path_value(path.get(begin..end)?)?));
                }
            }
        }
        Some(found)
    }

    /// For every place in `path`, as a bit per part: do this part and all behind it match from here to the end?
    /// From back to front, each question once: no template and no URI makes it go back and forth.
    fn matching(&self, path: &[u8]) -> Vec<u64> {
        let mut matching = vec![0_u64; path.len() + 1];
        matching[path.len()] = 1 << self.parts.len();
        let mut within = vec![false; path.len() + 1];
        for (number, part) in self.parts.iter().enumerate().rev() {
            let (own, next) = (1_u64 << number, 1_u64 << (number + 1));
            for at in (0..=path.len()).rev() {
                let matches = match part {
                    Part::Literal(literal) => {
                        let behind = matching.get(at + literal.len()).is_some_and(|bits| bits & next != 0);
                        behind && path[at..].starts_with(literal.as_bytes())
                    }
                    Part::Variable { letters, .. } => {
                        let more = letters.step(path, at).is_some_and(|step| within[at + step]);
                        within[at] = more || matching[at] & next != 0;
                        more
                    }
                };
                if matches {
                    matching[at] |= own;
                }
            }
        }
        matching
    }
}

impl Letters {
    /// The length of the letter or percent code at `at`; `None` if the value must end before it.
    fn step(&self, text: &[u8], at: usize) -> Option<usize> {
        match *text.get(at)? {
            b'%' => coded(text, at).map(|_| 3),
            byte if self.stops.contains(&byte) => None,
            byte if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) => Some(1),
            byte if self.reserved && b"/?#[]".contains(&byte) => Some(1),
            _ => None,
        }
    }
}

impl Query {
    /// Where the query begins in `uri`; its end if there is none.
    fn begins_in(&self, uri: &str) -> usize {
        let mut openers = uri.bytes().enumerate().filter(|(_, byte)| *byte == self.opener);
        openers.nth(self.openers_before).map_or(uri.len(), |(at, _)| at)
    }

    /// Adds the values of `query`, which is empty or begins with the opener.
    fn collect(&self, query: &str, found: &mut Vec<(String, String)>) -> Option<()> {
        let Some(pairs) = query.get(1..) else { return Some(()) };
        let letters = Letters { reserved: true, stops: vec![b'#', b'&'] };
        let mut values: Vec<Option<String>> = vec![None; self.names.len()];
        for pair in pairs.split('&') {
            let (name, raw) = pair.split_once('=')?;
            let place = values.get_mut(self.names.iter().position(|known| known == name)?)?;
            let mut at = 0;
            while at < raw.len() {
                at += letters.step(raw.as_bytes(), at)?;
            }
            // The second of two is refused, not preferred.
            if place.replace(plain_value(raw.as_bytes())?).is_some() {
                return None;
            }
        }
        let named = self.names.iter().zip(values).filter_map(|(name, value)| Some((name.clone(), value?)));
        found.extend(named);
        Some(())
    }
}

/// The name of a variable (RFC 6570, 2.3), or why this expression is not served.
fn check_name(name: &str) -> Result<(), String> {
    if let Some(plain) = name.strip_suffix('*') {
        return Err(format!("exploded lists are not matched; write {{+{plain}}} for a value with slashes in it"));
    }
    if let Some((plain, _)) = name.split_once(':') {
        return Err(format!("prefixes are not matched; write {{{plain}}}"));
    }
    let mut at = 0;
    let mut dot_allowed = false;
    while let Some(&byte) = name.as_bytes().get(at) {
        match byte {
            b'%' if coded(name.as_bytes(), at).is_some() => at += 3,
            b'.' if dot_allowed => at += 1,
            _ if byte.is_ascii_alphanumeric() || byte == b'_' => at += 1,
            _ => return Err(format!("`{name}`: expected a name of letters, digits, _ and single dots")),
        }
        dot_allowed = byte != b'.';
    }
    if dot_allowed { Ok(()) } else { Err(format!("`{name}`: expected a name between {{ and }}")) }
}

/// A value of which a path may be made.
fn path_value(raw: &[u8]) -> Option<String> {
    let value = plain_value(raw)?;
    let separates = |byte: &u8| matches!(byte, b'/' | b'\\');
    let slashes = |text: &[u8]| text.iter().filter(|byte| separates(byte)).count();
    let moves = value.as_bytes().split(separates).any(|segment| matches!(segment, b"." | b".."));
    (slashes(raw) == slashes(value.as_bytes()) && !moves).then_some(value)
}

/// Any value: decoded once, UTF-8, no control characters.
fn plain_value(raw: &[u8]) -> Option<String> {
    let value = String::from_utf8(percent_decoded(raw)).ok()?;
    (!value.chars().any(char::is_control)).then_some(value)
}

fn percent_decoded(raw: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        let code = if byte == b'%' { coded(raw, at) } else { None };
        decoded.push(code.unwrap_or(byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    decoded
}

/// The byte that the percent code at `at` stands for.
fn coded(text: &[u8], at: usize) -> Option<u8> {
    let digit = |place: usize| char::from(*text.get(place)?).to_digit(16);
    u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()
}

/// Is `uri` one that a resource may have and a client may ask for (F-44)?
///
/// # Errors
/// What was expected, without the URI.
pub(crate) fn check_uri(uri: &str) -> Result<(), &'static str> {
    if uri.len() > URI_BYTES_MAX {
        return Err("expected a URI of at most 2048 bytes");
    }
    if !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("expected a URI in visible ASCII, everything else percent-coded");
    }
    let (scheme, rest) = uri.split_once(':').ok_or("expected an absolute URI, with a scheme: file:///etc/hosts")?;
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(letters) || rest.is_empty() {
        return Err("expected an absolute URI, with a scheme: file:///etc/hosts");
    }
    let mut codes = rest.bytes().enumerate().filter(|(_, byte)| *byte == b'%');
    if codes.any(|(at, _)| coded(rest.as_bytes(), at).is_none()) {
        return Err("expected two hexadecimal digits behind every % of the URI");
    }
    if scheme.eq_ignore_ascii_case("file") {
        let path = percent_decoded(rest.as_bytes());
        // The rest is looked at as a whole: whoever opens files may not know where a query begins.
        if path.split(|byte| b"/\\?#".contains(byte)).any(|segment| segment == b"..") {
            return Err("expected a file URI without `..` in its path");
        }
        if path.iter().any(u8::is_ascii_control) {
            return Err("expected a file URI without control characters");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(template: &str, uri: &str) -> Option<String> {
        let found = UriTemplate::parse(template).unwrap().matches(uri)?;
        Some(found.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn f41_every_operator_is_read_back_as_it_is_written() {
        for (template, uri, expected) in [
            ("test://template/{id}/data", "test://template/123/data", Some("id=123")),
            ("test://template/{id}/data", "test://template//data", None),
            ("test://template/{id}/data", "test://template/1/2/data", None),
            ("test://template/{id}/data", "test://template/1/data/", None),
            ("test://template/{id}/data", "TEST://template/1/data", None),
            ("a:{x}", "a:K%C3%B6ln%20%2B", Some("x=Köln +")),
            ("a:{x}", "a:it's(1)!*~:@,;=", Some("x=it's(1)!*~:@,;=")),
            ("a:{x}", "a:1?y=2", None),
            ("a:{x}", "a:1#y", None),
            ("a:{x}", "a:1%", None),
            ("a:{x}", "a:1%4", None),
            ("a:{x}", "a:Köln", None),
            ("a:{x,y}", "a:1,2", Some("x=1 y=2")),
            ("a:{x,y}", "a:1%2C0,2", Some("x=1,0 y=2")),
            ("a:{x,y}", "a:1,2,3", None),
            ("a:{x}.{y}", "a:one.tar.gz", Some("x=one.tar y=gz")),
            ("a:{x}-{y}-end", "a:1-2-3-end-end", Some("x=1-2-3 y=end")),
            ("a:{+x}", "a:/etc/hosts?y#z[1]", Some("x=/etc/hosts?y#z[1]")),
            ("a:{+x}/tail", "a:b/tail/tail", Some("x=b/tail")),
            ("a:{+x,y}", "a:/b/c,d/e", Some("x=/b/c y=d/e")),
            ("a:b{#x}", "a:b#1/2", Some("x=1/2")),
            ("a:b{#x,y}", "a:b#1,2", Some("x=1 y=2")),
            ("a:b{#x}", "a:b", None),
            ("a:b{.x}", "a:b.tar.gz", Some("x=tar.gz")),
            ("a:b{.x,y}", "a:b.tar.gz", Some("x=tar y=gz")),
            ("a:b{.x,y}", "a:b.1.2.3", None),
            ("a:b{/x,y}", "a:b/1/2", Some("x=1 y=2")),
            ("a:b{/x,y}", "a:b/1", None),
            ("a:b{;x,y}", "a:b;x=1;y=2", Some("x=1 y=2")),
            ("a:b{;x}", "a:b;x=1;y=2", None),
            ("a:b{;x}", "a:b;x", None),
            ("a:b{x_1.y%20z}", "a:b1", Some("x_1.y%20z=1")),
            ("a:plain", "a:plain", Some("")),
            ("a:plain", "a:plai", None),
            ("{x}:y", "z:y", Some("x=z")),
        ] {
            assert_eq!(matched(template, uri).as_deref(), expected, "{template} {uri}");
        }
    }

    #[test]
    fn f41_the_parameters_of_a_query_come_in_any_order_once_and_no_others() {
        for (template, uri, expected) in [
            ("a:b{?x,y}", "a:b?x=1&y=2", Some("x=1 y=2")),
            ("a:b{?x,y}", "a:b?y=2&x=1", Some("x=1 y=2")),
            ("a:b{?x,y}", "a:b?y=2", Some("y=2")),
            ("a:b{?x,y}", "a:b?x=", Some("x=")),
            ("a:b{?x,y}", "a:b", Some("")),
            ("a:b{?x,y}", "a:b?", None),
            ("a:b{?x,y}", "a:b?x", None),
            ("a:b{?x,y}", "a:b?x=1&x=2", None),
            ("a:b{?x,y}", "a:b?x=1&z=2", None),
            ("a:b{?x,y}", "a:b?x=1&", None),
            ("a:b{?x,y}", "a:b?x=1#f", None),
            ("a:b{?x,y}", "a:b?x=%2Fa%2F..%26&y=a/b?c=d", Some("x=/a/..& y=a/b?c=d")),
            ("a:b{?x}", "a:b?x=%00", None),
            ("a:b{?x}", "a:b?x=%zz", None),
            ("a:{x}{?y}", "a:1?y=2", Some("x=1 y=2")),
            ("a:{+x}{?y}", "a:1/2?y=2", Some("x=1/2 y=2")),
            ("a:b{?x}{&y}", "a:b?x=1&y=2", Some("x=1 y=2")),
            ("a:b?k=1&l=2{&x}", "a:b?k=1&l=2&x=3", Some("x=3")),
            ("a:b?k=1&l=2{&x}", "a:b?k=1&l=2", Some("")),
            ("a:b?k=1&l=2{&x}", "a:b?k=1", None),
            ("a:b?k={k}{&x}", "a:b?k=1&x=2", Some("k=1 x=2")),
            ("a:b?k={k}&l={l}", "a:b?k=1&l=2", Some("k=1 l=2")),
            ("a:b?k={k}&l={l}", "a:b?k=1&m=3&l=2", None),
        ] {
            assert_eq!(matched(template, uri).as_deref(), expected, "{template} {uri}");
        }
    }

    #[test]
    fn f44_x65_decoding_never_turns_one_segment_into_another() {
        for (template, uri, expected) in [
            ("file:///srv/{name}", "file:///srv/a..b", Some("name=a..b")),
            ("file:///srv/{name}", "file:///srv/...", Some("name=...")),
            ("file:///srv/{name}", "file:///srv/.", None),
            ("file:///srv/{name}", "file:///srv/..", None),
            ("file:///srv/{name}", "file:///srv/%2e%2e", None),
            ("file:///srv/{name}", "file:///srv/%2E.", None),
            ("file:///srv/{name}", "file:///srv/..%2Fetc%2Fpasswd", None),
            ("file:///srv/{name}", "file:///srv/a%2fb", None),
            ("file:///srv/{name}", "file:///srv/a%5Cb", None),
            ("file:///srv/{name}", "file:///srv/%252e%252e", Some("name=%2e%2e")),
            ("file:///srv/{name}", "file:///srv/%252Fetc", Some("name=%2Fetc")),
            ("file:///srv/{name}", "file:///srv/a%00", None),
            ("file:///srv/{name}", "file:///srv/a%0D%0Ab", None),
            ("file:///srv/{name}", "file:///srv/a%7F", None),
            ("file:///srv/{name}", "file:///srv/a%C2%85", None),
            ("file:///srv/{name}", "file:///srv/%FF", None),
            ("file:///srv/{name}", "file:///srv/%C0%AE%C0%AE", None),
            ("file:///srv/{name}", "file:///srv/%C3", None),
            ("file:///srv/.{name}", "file:///srv/.%2e", None),
            ("file:///srv/{+path}", "file:///srv/a/b", Some("path=a/b")),
            ("file:///srv/{+path}", "file:///srv/a/../b", None),
            ("file:///srv/{+path}", "file:///srv/a/%2e%2E/b", None),
            ("file:///srv/{+path}", "file:///srv/a%2f..%2fb", None),
            ("file:///srv/{+path}", "file:///srv/a%2Fb", None),
            ("file:///srv/{+path}", "file:///srv/a/%2E", None),
            ("file:///srv/{+path}", "file:///srv/..%5C..", None),
            ("file:///srv{/a,b}", "file:///srv/x/%2e%2e", None),
            ("file:///srv/x{.a}", "file:///srv/x.%2e", None),
            ("file:///srv/x{;a}", "file:///srv/x;a=..", None),
            ("file:///srv/x{#a}", "file:///srv/x#..", None),
        ] {
            assert_eq!(matched(template, uri).as_deref(), expected, "{template} {uri}");
        }
    }

    #[test]
    fn f41_what_cannot_be_read_back_is_refused_at_registration() {
        for (template, expected) in [
            (String::new(), "1 to 2048 bytes"),
            ("a".repeat(2049), "has 2049"),
            ("a:{x".into(), "without its `}`"),
            ("a:x}".into(), "percent-coded"),
            ("a:{{x}}".into(), "one of the operators"),
            ("a: {x}".into(), "percent-coded"),
            ("a:ö{x}".into(), "percent-coded"),
            ("a:%4{x}".into(), "percent-coded"),
            ("a:{}".into(), "expected a name"),
            ("a:{+}".into(), "expected a name"),
            ("a:{x,}".into(), "expected a name"),
            ("a:{ x}".into(), "letters, digits"),
            ("a:{ö}".into(), "letters, digits"),
            ("a:{x-y}".into(), "letters, digits"),
            ("a:{x..y}".into(), "letters, digits"),
            ("a:{x.}".into(), "expected a name"),
            ("a:{%4}".into(), "letters, digits"),
            ("a:{=x}".into(), "one of the operators"),
            ("a:{|x}".into(), "one of the operators"),
            ("a:{/x*}".into(), "write {+x}"),
            ("a:{x:3}".into(), "write {x}"),
            ("a:{*}".into(), "exploded"),
            ("a:{x}{y}".into(), "`x` stands right before it"),
            ("a:{x}{+y}".into(), "`x` stands right before it"),
            ("a:{x}/{x}".into(), "there twice"),
            ("a:{x}{?x}".into(), "there twice"),
            ("a:{?x}b".into(), "expected the end"),
            ("a:{?x}{#y}".into(), "expected the end"),
            ("a:{?x}{?y}".into(), "or {&x}"),
            ("a:?k=1{?x}".into(), "write {&x}"),
            ("a:{&x}".into(), "write {?x}"),
            ((0..32).map(|i| format!("{{v{i}}}/")).collect(), "at most 31"),
        ] {
            let why = UriTemplate::parse(&template).unwrap_err();
            assert!(why.contains(expected), "{template}: {why}");
        }
        let template = UriTemplate::parse("a:{x}{/y}{?z}").unwrap();
        assert_eq!(template.variables().collect::<Vec<_>>(), ["x", "y", "z"]);
    }

    #[test]
    fn no_uri_makes_a_template_panic_or_go_back_and_forth() {
        let widest = (0..31).map(|i| format!("{{v{i}}}-")).collect::<String>();
        let templates = ["{x}", "{+x}-{y}.{z}", "a{;x,y}{?z}", "%25{/x,y}{#z}", "a?b={c}{&d,e}", &widest]
            .map(|template| UriTemplate::parse(template).unwrap());
        for template in &templates {
            assert_eq!(template.matches(&"-".repeat(2049)), None);
        }
        let long = "-".repeat(2048);
        assert_eq!(templates.last().unwrap().matches(&long).unwrap()[0].1.len(), 2048 - 31 - 30);
        assert_eq!(templates.last().unwrap().matches(&format!("{}a", &long[1..])), None);
        // Every text of up to four of these letters.
        let letters = ["a", "-", ".", "%", "2", "?", "&", "=", "#", "/", ";", "ö", "%2f", "{", "x=", "\0"];
        for number in 0..letters.len().pow(4) {
            let text: String = (0..4).map(|place| letters[number / letters.len().pow(place) % letters.len()]).collect();
            for template in &templates {
                template.matches(&text);
            }
            let _ = check_uri(&text);
            if let Ok(template) = UriTemplate::parse(&format!("a{{{text}}}")) {
                template.matches(&text);
            }
        }
    }

    #[test]
    fn f44_a_uri_is_absolute_visible_and_stays_below_its_folder() {
        let long = format!("a:{}", "b".repeat(2046));
        for (uri, ok) in [
            ("file:///etc/hosts", true),
            ("test://static-text", true),
            ("urn:isbn:1", true),
            ("a+b-c.d:x", true),
            (&long, true),
            (&format!("{long}b"), false),
            ("", false),
            ("/etc/hosts", false),
            ("hosts", false),
            ("a:", false),
            (":a", false),
            ("1a:b", false),
            ("a_b:c", false),
            ("a:b c", false),
            ("a:b\n", false),
            ("a:ö", false),
            ("a:%", false),
            ("a:%4g", false),
            ("a:%C3%B6", true),
            ("file:///a/../b", false),
            ("FILE:///a/..", false),
            ("file:..", false),
            ("file:///a/%2e%2E/b", false),
            ("file:///a/.%2e%2fb", false),
            ("file:///a%2F..%2Fb", false),
            ("file:///a\\..\\b", false),
            ("file:///a/..?b", false),
            ("file:///a%00", false),
            ("file:///a..b/...", true),
            ("file:///a/%252e%252e/b", true),
            ("https://a/../b", true),
        ] {
            assert_eq!(check_uri(uri).is_ok(), ok, "{uri}");
        }
    }
}
