//! Numbers as people read them. The only place where rounding happens.

/// Connections and other counts on an axis: `1Ki`, `64Ki`, `1Mi` for whole powers of two of that size, else `20k`, `1.5M`.
#[must_use]
pub fn short_count(count: u64) -> String {
    const SUFFIXES: [(u64, &str); 3] = [(1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    for (unit, suffix) in SUFFIXES {
        if count >= unit && count.is_multiple_of(unit) {
            return format!("{}{suffix}", count / unit);
        }
    }
    short_number(count as f64)
}

/// A number of any size with three significant digits and a decimal suffix.
#[must_use]
pub fn short_number(value: f64) -> String {
    let size = value.abs();
    for (unit, suffix) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if size >= unit * 0.9995 {
            return format!("{}{suffix}", trim(&digits(value / unit)));
        }
    }
    trim(&digits(value)).to_owned()
}

/// Three significant digits without an exponent, for values up to some thousands.
#[must_use]
pub fn digits(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if size >= 99.95 {
        format!("{value:.0}")
    } else if size >= 9.995 {
        format!("{value:.1}")
    } else if size >= 0.1 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

/// A share as a percentage with one decimal, `<0.1%` where it would look like nothing and is not.
#[must_use]
pub fn percent(share: f64) -> String {
    if share == 0.0 {
        "0%".to_owned()
    } else if share < 0.0005 {
        "<0.1%".to_owned()
    } else {
        format!("{:.1}%", 100.0 * share)
    }
}

/// Groups of three: `1,048,576`.
#[must_use]
pub fn grouped(count: u64) -> String {
    let plain = count.to_string();
    let mut out = String::with_capacity(plain.len() + plain.len() / 3);
    for (place, digit) in plain.chars().enumerate() {
        if place > 0 && (plain.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Nanoseconds: `38.1 ns`, `4.20 µs`, `1.30 ms`, `2.00 s`.
#[must_use]
pub fn duration(ns: f64) -> String {
    for (unit, suffix) in [(1e9, "s"), (1e6, "ms"), (1e3, "µs")] {
        if ns >= unit * 0.9995 {
            return format!("{} {suffix}", digits(ns / unit));
        }
    }
    format!("{} ns", digits(ns))
}

/// Bytes with binary suffixes: `32 KiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const KIB: f64 = 1024.0;
    let value = count as f64;
    for (power, suffix) in [(4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")] {
        let unit = KIB.powi(power);
        if value >= unit {
            return format!("{} {suffix}", trim(&digits(value / unit)));
        }
    }
    format!("{count} B")
}

/// Seconds as `3 min 20 s`, `45 s`, `2 h 5 min`.
#[must_use]
pub fn elapsed(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// A Unix time as `2026-11-20 19:05 UTC`.
#[must_use]
pub fn utc(unix_s: u64) -> String {
    let (year, month, day) = civil_date(unix_s / 86_400);
    let (hour, minute) = (unix_s / 3600 % 24, unix_s / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// Days since 1970-01-01 to a proleptic Gregorian date, by eras of 400 years that begin on 1 March, so that the leap
/// day is the last of its year. (A date crate for one line of output would be the larger evil.)
fn civil_date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_EPOCH: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    let shifted = days + DAYS_TO_EPOCH;
    let (era, day_of_era) = (shifted / DAYS_PER_ERA, shifted % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Text from a record made fit for any output: control and formatting characters (which could move a terminal's cursor,
/// reverse the reading order or break XML) become a visible replacement.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if is_unfit(c) { '\u{fffd}' } else { c })
        .collect()
}

fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fffe}' | '\u{ffff}')
}

/// `text` cut to `width` characters, with an ellipsis where something was cut.
#[must_use]
pub fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(width.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// As [`fit`], but cut in the middle: names of files often begin alike and end apart.
#[must_use]
pub fn fit_middle(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width || width < 5 {
        return fit(text, width);
    }
    let tail = (width - 1) / 2;
    let head: String = text.chars().take(width - 1 - tail).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{head}…{end}")
}

/// Without zeros after the decimal point that say nothing: `1.00` becomes `1`.
fn trim(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let cases = [
            (0, "0"),
            (1, "1"),
            (999, "999"),
            (1024, "1Ki"),
            (1 << 22, "4Mi"),
            (20_345, "20.3k"),
        ];
        for (count, text) in cases {
            assert_eq!(short_count(count), text);
        }
        assert_eq!(short_count(u64::MAX), "18446744T");
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_048_576), "1,048,576");
    }

    #[test]
    fn three_digits_and_no_surprise_at_the_borders() {
        let cases = [
            (0.0, "0"),
            (0.012, "0.012"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (99.96, "100"),
            (1234.0, "1234"),
        ];
        for (value, text) in cases {
            assert_eq!(digits(value), text);
        }
        assert_eq!(short_number(999_600.0), "1M");
        assert_eq!(short_number(1500.0), "1.5k");
        assert_eq!(duration(38.14), "38.1 ns");
        assert_eq!(duration(999.9), "1.00 µs");
        assert_eq!(duration(2e9), "2.00 s");
        assert_eq!(bytes(32 << 10), "32 KiB");
        assert_eq!(bytes(100), "100 B");
    }

    #[test]
    fn a_share_that_is_not_nothing_does_not_look_like_it() {
        let cases = [
            (0.0, "0%"),
            (1e-9, "<0.1%"),
            (0.000_51, "0.1%"),
            (0.2726, "27.3%"),
            (1.0, "100.0%"),
        ];
        for (share, text) in cases {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn times() {
        assert_eq!(utc(0), "1970-01-01 00:00 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(utc(1_795_201_500), "2026-11-20 19:05 UTC");
        assert_eq!(elapsed(45), "45 s");
        assert_eq!(elapsed(200), "3 min 20 s");
        assert_eq!(elapsed(7500), "2 h 5 min");
        let _ = utc(u64::MAX);
    }

    #[test]
    fn text_that_could_steer_a_terminal_is_made_visible() {
        assert_eq!(clean("a\x1b[2Jb\u{202e}c\0"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("abcd", 4), "abcd");
        assert_eq!(fit_middle("capture-monday", 8), "capt…day");
        assert_eq!(fit_middle("capture-monday", 9), "capt…nday");
        assert_eq!(fit_middle("capture-monday", 3), "ca…");
        assert_eq!(fit_middle("cap", 3), "cap");
    }
}
