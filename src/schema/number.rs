//! Numbers as JSON Schema sees them: 3.0 is 3, and no digit of a whole number is lost on the way.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

use serde_json::Number;

/// Below this, a float without a fraction is kept as a whole number.
const INTEGER_BELOW: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

/// A number, in one form only: whatever is whole and fits is an `Integer`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Num {
    Integer(i128),
    /// Has a fraction, or is at least 2^127.
    Float(f64),
}

impl Num {
    pub(super) fn of(number: &Number) -> Num {
        if let Some(whole) = number.as_i64() {
            return Num::Integer(whole.into());
        }
        if let Some(whole) = number.as_u64() {
            return Num::Integer(whole.into());
        }
        // Never absent as serde_json is built here; not a number is equal to nothing and within no bound.
        let float = number.as_f64().unwrap_or(f64::NAN);
        if float.fract() == 0.0 && float.abs() < INTEGER_BELOW {
            // Exact: it is whole and within the range.
            return Num::Integer(float as i128);
        }
        Num::Float(float)
    }

    pub(super) fn is_integer(self) -> bool {
        match self {
            Num::Integer(_) => true,
            Num::Float(float) => float.fract() == 0.0,
        }
    }

    /// Exact, also between the two forms: a fraction is far below 2^53 and the other floats are beyond any integer
    /// here, so rounding the integer cannot carry it past them.
    pub(super) fn compare(self, other: Num) -> Option<Ordering> {
        match (self, other) {
            (Num::Integer(a), Num::Integer(b)) => Some(a.cmp(&b)),
            (Num::Integer(a), Num::Float(b)) => (a as f64).partial_cmp(&b),
            (Num::Float(a), Num::Integer(b)) => a.partial_cmp(&(b as f64)),
            (Num::Float(a), Num::Float(b)) => a.partial_cmp(&b),
        }
    }

    /// The same for equal numbers.
    pub(super) fn bits(self) -> u128 {
        match self {
            Num::Integer(whole) => whole.cast_unsigned(),
            Num::Float(float) => float.to_bits().into(),
        }
    }
}

impl fmt::Display for Num {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Num::Integer(whole) => write!(f, "{whole}"),
            // As the value itself is shown; `core`'s own formatting would be 5 KB more.
            Num::Float(float) => Number::from_f64(*float).map_or(Ok(()), |number| number.fmt(f)),
        }
    }
}

/// The number of a `multipleOf`. It divides in decimal, as it was written: in binary, 0.3 is no multiple of 0.1.
#[derive(Debug)]
pub(super) struct Divisor {
    decimal: Decimal,
    shown: Num,
}

impl Divisor {
    /// `None` if it is not above zero.
    pub(super) fn new(number: &Number) -> Option<Divisor> {
        let shown = Num::of(number);
        let decimal = Decimal::of(number)?;
        (decimal.digits != 0 && shown.compare(Num::Integer(0)) == Some(Ordering::Greater))
            .then_some(Divisor { decimal, shown })
    }

    pub(super) fn divides(&self, number: &Number) -> bool {
        let Some(Decimal { digits, exponent }) = Decimal::of(number) else { return false };
        let divisor = u128::from(self.decimal.digits);
        let shift = exponent.saturating_sub(self.decimal.exponent);
        let ten_to = shift.unsigned_abs();
        if shift >= 0 {
            // Both factors are below 2^64.
            return (u128::from(digits) % divisor * power_of_ten(ten_to, divisor)).is_multiple_of(divisor);
        }
        match 10u128.checked_pow(ten_to).and_then(|scale| scale.checked_mul(divisor)) {
            Some(scaled) => u128::from(digits).is_multiple_of(scaled),
            // The divisor has more digits than the number.
            None => digits == 0,
        }
    }
}

impl fmt::Display for Divisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}

/// 10^exponent modulo a number below 2^64.
fn power_of_ten(mut exponent: u32, modulus: u128) -> u128 {
    let (mut power, mut square) = (1 % modulus, 10 % modulus);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = power * square % modulus;
        }
        square = square * square % modulus;
        exponent >>= 1;
    }
    power
}

/// A number without its sign: digits times ten to the exponent.
#[derive(Debug)]
struct Decimal {
    digits: u64,
    exponent: i32,
}

impl Decimal {
    fn of(number: &Number) -> Option<Decimal> {
        if let Some(whole) = number.as_i64() {
            return Some(Decimal { digits: whole.unsigned_abs(), exponent: 0 });
        }
        if let Some(digits) = number.as_u64() {
            return Some(Decimal { digits, exponent: 0 });
        }
        // The shortest text that reads back as this float: at most 17 digits, and as a rule what was written.
        let mut text = Text { bytes: [0; 32], len: 0 };
        write!(text, "{number}").ok()?;
        let text = std::str::from_utf8(&text.bytes[..text.len]).ok()?.trim_start_matches('-');
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = whole
            .bytes()
            .chain(fraction.bytes())
            .try_fold(0u64, |digits, byte| digits.checked_mul(10)?.checked_add(u64::from(byte.checked_sub(b'0')?)))?;
        let places = i32::try_from(fraction.len()).ok()?;
        Some(Decimal { digits, exponent: exponent.parse::<i32>().ok()?.saturating_sub(places) })
    }
}

/// A text on the stack: a check allocates nothing.
struct Text {
    bytes: [u8; 32],
    len: usize,
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(fmt::Error)?;
        free.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_are_compared_to_the_last_digit() {
        for (a, b, order) in [
            ("3", "3.0", Ordering::Equal),
            ("0", "-0.0", Ordering::Equal),
            ("9007199254740993", "9007199254740992.0", Ordering::Greater),
            ("18446744073709551615", "18446744073709551614", Ordering::Greater),
            ("18446744073709551615", "18446744073709551616", Ordering::Less),
            ("-9223372036854775808", "-9223372036854775807", Ordering::Less),
            ("0.1", "0", Ordering::Greater),
            ("-0.5", "0", Ordering::Less),
            ("1e308", "18446744073709551615", Ordering::Greater),
            ("-1e308", "-9223372036854775808", Ordering::Less),
            ("1e308", "1.0e308", Ordering::Equal),
        ] {
            let (left, right) = (Num::of(&number(a)), Num::of(&number(b)));
            assert_eq!(left.compare(right), Some(order), "{a} {b}");
            assert_eq!(left.bits() == right.bits(), order == Ordering::Equal, "{a} {b}");
        }
    }

    #[test]
    fn a_multiple_is_one_in_decimal() {
        for (value, divisor, is_multiple) in [
            ("10", "2", true),
            ("7", "2", false),
            ("0", "0.01", true),
            ("0.3", "0.1", true),
            ("0.0075", "0.0001", true),
            ("0.00751", "0.0001", false),
            ("-4.5", "1.5", true),
            ("35", "1.5", false),
            ("1e308", "0.5", true),
            ("1e308", "0.123456789", false),
            ("1e-308", "1e308", false),
            ("1e308", "1e-308", true),
            ("18446744073709551615", "5", true),
            ("18446744073709551615", "18446744073709551614", false),
            ("9007199254740993", "9007199254740993.0", false),
        ] {
            let by = Divisor::new(&number(divisor)).unwrap();
            assert_eq!(by.divides(&number(value)), is_multiple, "{value} {divisor}");
        }
        for none in ["0", "-1", "-0.5", "0.0"] {
            assert!(Divisor::new(&number(none)).is_none(), "{none}");
        }
    }
}
