//! The operator's page: one file, and headers that keep it alone. It loads nothing but JSON from this server, and runs
//! no script but its own, which the policy names by its digest.

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};

use crate::http::response::Media;
use crate::transport::Reply;

/// Everything: markup, style and script. What clients say of themselves goes in as text, never as markup.
const PAGE: &str = include_str!("page.html");

pub(super) fn page() -> Reply {
    let policy = format!(
        "default-src 'none'; connect-src 'self'; img-src data:; style-src '{}'; script-src '{}'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        digest("<style>", "</style>"),
        digest("<script>", "</script>"),
    );
    let headers = vec![
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff".into()),
        ("referrer-policy", "no-referrer".into()),
        ("vary", "accept".into()),
    ];
    Reply { status: 200, media: Media::Html, headers, body: PAGE.into() }
}

/// The digest of what stands between two tags of the page, as a policy names it.
fn digest(from: &str, to: &str) -> String {
    let inner = PAGE.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map_or("", |(inner, _)| inner);
    format!("sha256-{}", Base64::encode_string(&Sha256::digest(inner.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_has_one_style_one_script_and_nothing_from_elsewhere() {
        assert!(PAGE.len() <= 16 * 1024, "{} bytes", PAGE.len());
        for tag in ["<style>", "</style>", "<script>", "</script>"] {
            assert_eq!(PAGE.matches(tag).count(), 1, "{tag}");
        }
        let text = PAGE.replace("'http://www.w3.org/2000/svg'", ""); // a name, not an address
        for word in ["http:", "https:", "innerHTML", "insertAdjacentHTML", "document.write", " style=", "eval("] {
            assert!(!text.contains(word), "{word}");
        }
        assert!(!page().headers[0].1.contains("unsafe"));
    }
}
