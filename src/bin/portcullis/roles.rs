//! Who asks, and what he may use, as the file of `--config` says it at this moment.
//!
//! Decided here: a principal is the name of a token and a piece of its digest, so that a token that is changed under
//! its name ends what the old one began. A token that has run out is worth as much as an unknown one, from that moment
//! on. Where the file names no tokens nobody is asked, and everybody may use everything.

use crate::config::{Role, Token};
use portcullis::{Access, Builder, Credentials, Denied, Handle, Item, Principal};
use sha2::{Digest, Sha256};
use std::future::Future;
use std::pin::Pin;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

/// Those whom the file names. One process is one server, and its file one file.
static PEOPLE: RwLock<People> = RwLock::new(People { roles: Vec::new(), tokens: Vec::new() });

/// How long the watch sleeps at most: a clock that is set changes what is left of a token's time.
const WATCH_WAIT: Duration = Duration::from_secs(30);

/// Roles, and holders of tokens.
#[derive(Default)]
pub(crate) struct People {
    pub(crate) roles: Vec<Role>,
    pub(crate) tokens: Vec<Token>,
}

/// Lets these in from now on, and nobody else.
pub(crate) fn admit(people: People) {
    *PEOPLE.write().unwrap_or_else(PoisonError::into_inner) = people;
}

/// Makes a server ask here.
pub(crate) fn guard(builder: Builder) -> Builder {
    builder.access(Roles)
}

/// Tells the server when a token runs out; never ends.
pub(crate) fn watch(handle: &Handle) -> Pin<Box<dyn Future<Output = ()> + '_>> {
    Box::pin(async move {
        loop {
            let Some(end) = people().next_end(now()) else { return std::future::pending().await };
            let left = Duration::from_secs(end.saturating_sub(now()));
            smol::Timer::after(left.min(WATCH_WAIT)).await;
            if now() >= end {
                log::info!("a token has run out");
                handle.access_changed();
            }
        }
    })
}

fn people() -> RwLockReadGuard<'static, People> {
    PEOPLE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

struct Roles;

impl Access for Roles {
    fn principal(&self, request: &Credentials<'_>) -> Result<Principal, Denied> {
        people().who(request.authorization, now())
    }

    fn knows(&self, principal: &Principal) -> bool {
        people().knows(principal, now())
    }

    fn may_use(&self, principal: &Principal, item: Item<'_>) -> bool {
        people().may_use(principal, item, now())
    }
}

impl People {
    fn who(&self, authorization: Option<&str>, now: u64) -> Result<Principal, Denied> {
        if self.tokens.is_empty() {
            return Ok(Principal::Anonymous);
        }
        let parts = authorization.and_then(|value| value.split_once(' '));
        let (_, token) =
            parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).ok_or(Denied::Unauthenticated)?;
        let digest: [u8; 32] = Sha256::digest(token.trim_ascii().as_bytes()).into();
        // Every digest is compared to its end, so that time tells nothing.
        let is_it = |known: &Token| known.sha256.iter().zip(&digest).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0;
        let found = self.tokens.iter().fold(None, |found, token| if is_it(token) { Some(token) } else { found });
        let token = found.filter(|token| !has_run_out(token, now)).ok_or(Denied::Unauthenticated)?;
        Ok(Principal::Named(name(token).into()))
    }

    /// Is he one who would be let in?
    fn knows(&self, principal: &Principal, now: u64) -> bool {
        self.tokens.is_empty() || self.token(principal, now).is_some()
    }

    fn may_use(&self, principal: &Principal, item: Item<'_>, now: u64) -> bool {
        if self.tokens.is_empty() {
            return true;
        }
        let role = self.token(principal, now).and_then(|token| self.roles.iter().find(|role| role.name == token.role));
        // Tools are all there is here; a kind that is new is for nobody until it has a rule.
        role.is_some_and(|role| matches!(item, Item::Tool(tool) if role.allows(tool)))
    }

    fn token(&self, principal: &Principal, now: u64) -> Option<&Token> {
        let Principal::Named(who) = principal else { return None };
        self.tokens.iter().find(|token| name(token) == **who && !has_run_out(token, now))
    }

    /// When the next token runs out that has not.
    fn next_end(&self, now: u64) -> Option<u64> {
        self.tokens.iter().filter_map(|token| token.expires).filter(|end| *end > now).min()
    }
}

fn has_run_out(token: &Token, now: u64) -> bool {
    token.expires.is_some_and(|end| end <= now)
}

/// As which principal its holder is known.
fn name(token: &Token) -> String {
    let [a, b, c, ..] = token.sha256;
    format!("{}#{a:02x}{b:02x}{c:02x}", token.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, secret: &str, role: &str, expires: Option<u64>) -> Token {
        Token { name: name.into(), sha256: Sha256::digest(secret.as_bytes()).into(), role: role.into(), expires }
    }

    fn people() -> People {
        let role = |name: &str, tools: &[&str]| Role {
            name: name.into(),
            tools: tools.iter().map(|&glob| glob.to_owned()).collect(),
        };
        People {
            roles: vec![role("look", &["fw_*", "ping"]), role("all", &["*"]), role("none", &[])],
            tokens: vec![
                token("ops", "ops-secret", "all", None),
                token("guest", "guest-secret", "look", Some(1_000)),
                token("idle", "idle-secret", "none", None),
            ],
        }
    }

    #[test]
    fn a5_a20_a_token_is_let_in_by_its_digest_until_it_runs_out_and_uses_what_its_role_names() {
        let people = people();
        for (value, now, who) in [
            (Some("Bearer ops-secret"), 0, Some("ops")),
            (Some("bearer  guest-secret "), 999, Some("guest")),
            (Some("Bearer guest-secret"), 1_000, None),
            (Some("Bearer guest-secret"), 2_000, None),
            (Some("Bearer other"), 0, None),
            (Some("Bearer "), 0, None),
            (Some("Basic ops-secret"), 0, None),
            (Some("ops-secret"), 0, None),
            (Some("ops"), 0, None),
            (None, 0, None),
        ] {
            let found = people.who(value, now);
            let named = found.as_ref().ok().map(|principal| principal.to_string());
            assert_eq!(named.as_ref().and_then(|name| name.split('#').next()), who, "{value:?} {now}");
            assert!(found.is_ok() || found == Err(Denied::Unauthenticated));
        }
        for (secret, tool, may) in [
            ("ops-secret", "anything", true),
            ("guest-secret", "fw_rules", true),
            ("guest-secret", "ping", true),
            ("guest-secret", "ping_host", false),
            ("idle-secret", "ping", false),
        ] {
            let who = people.who(Some(&format!("Bearer {secret}")), 0).unwrap();
            assert_eq!(people.may_use(&who, Item::Tool(tool), 0), may, "{secret} {tool}");
        }
        let guest = people.who(Some("Bearer guest-secret"), 0).unwrap();
        assert!(people.knows(&guest, 999) && !people.knows(&guest, 1_000));
        assert!(!people.may_use(&guest, Item::Tool("ping"), 1_000));
        assert!(!people.knows(&Principal::Anonymous, 0) && !people.knows(&Principal::Named("ops".into()), 0));
        assert!(!people.may_use(&Principal::Anonymous, Item::Tool("ping"), 0));
        assert_eq!((people.next_end(0), people.next_end(1_000)), (Some(1_000), None));
    }

    #[test]
    fn p12_a_token_that_is_changed_under_its_name_is_another_principal() {
        let mut people = people();
        let before = people.who(Some("Bearer ops-secret"), 0).unwrap();
        people.tokens[0] = token("ops", "another-secret", "all", None);
        assert!(!people.knows(&before, 0) && people.who(Some("Bearer ops-secret"), 0).is_err());
        assert!(people.who(Some("Bearer another-secret"), 0).is_ok());
    }

    #[test]
    fn without_tokens_nobody_is_asked() {
        let nobody = People::default();
        assert_eq!(nobody.who(None, 0), Ok(Principal::Anonymous));
        assert!(nobody.knows(&Principal::Anonymous, 0) && nobody.may_use(&Principal::Anonymous, Item::Tool("x"), 0));
        assert!(nobody.knows(&Principal::Token("1234".into()), 0), "whom a token file names");
    }
}
