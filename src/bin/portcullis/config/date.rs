//! A moment in a file: RFC 3339, a date alone or with time and offset, as seconds since 1970.
//!
//! A date alone is its first moment in UTC. A time without an offset is refused: whose time would it be?

/// What is expected, for messages.
pub(super) const EXPECTED: &str =
    "expected a date such as 2027-01-31, or a time with its offset such as 2027-01-31T12:00:00Z";

/// Seconds since 1970.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let date = text.get(..10)?;
    let day = days(number(date, 0..4, "")?, number(date, 5..7, "-")?, number(date, 8..10, "-")?)?;
    let rest = text.get(10..)?;
    if rest.is_empty() {
        return day.checked_mul(86_400)?.try_into().ok();
    }
    rest.strip_prefix(['T', 't', ' '])?;
    let (hour, minute, second) = (number(rest, 1..3, "")?, number(rest, 4..6, ":")?, number(rest, 7..9, ":")?);
    let tail = rest.get(9..)?;
    let fraction = tail.strip_prefix('.').map_or(0, |digits| 1 + digits.bytes().take_while(u8::is_ascii_digit).count());
    if hour > 23 || minute > 59 || second > 60 || fraction == 1 {
        return None;
    }
    let offset = match tail.get(fraction..)? {
        "Z" | "z" => 0,
        offset => {
            let sign = if offset.starts_with('+') { 1 } else { -1 };
            offset.strip_prefix(['+', '-']).filter(|digits| digits.len() == 5)?;
            let (hours, minutes) = (number(offset, 1..3, "")?, number(offset, 4..6, ":")?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            sign * (hours * 60 + minutes) * 60
        }
    };
    (day * 86_400 + hour * 3_600 + minute * 60 + second - offset).try_into().ok()
}

/// The digits in a range, with `before` in front of them.
fn number(text: &str, digits: std::ops::Range<usize>, before: &str) -> Option<i64> {
    let start = digits.start.checked_sub(before.len())?;
    let is_there = text.get(start..digits.start)? == before;
    let digits = text.get(digits)?;
    digits.bytes().all(|byte| byte.is_ascii_digit() && is_there).then(|| digits.parse().ok()).flatten()
}

/// Days since 1970 of a date that there is. The year is taken to begin in March, so that the day of a leap year is
/// the last of it.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    Some(365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_read_and_what_is_none_is_refused() {
        for (text, expected) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2027-01-31", 1_801_353_600),
            ("2027-01-31T12:00:00Z", 1_801_396_800),
            ("2027-01-31 12:00:00z", 1_801_396_800),
            ("2027-01-31T12:00:00.25+02:00", 1_801_389_600),
            ("2027-01-31T00:00:00-00:30", 1_801_355_400),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "2027",
            "2027-1-31",
            "2027-13-01",
            "2027-02-29",
            "2027-00-10",
            "2027-01-00",
            "1969-12-31",
            "2027-01-31T",
            "2027-01-31T12:00:00",
            "2027-01-31T12:00Z",
            "2027-01-31T24:00:00Z",
            "2027-01-31T12:00:00.Z",
            "2027-01-31T12:00:00+2:00",
            "2027-01-31T12:00:00Zulu",
            "2027-01-31é",
            "20270131",
            "+027-01-31",
            "2027/01/31",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
