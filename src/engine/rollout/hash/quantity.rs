//! Amounts as Kubernetes spells them: "500m", "1.5Gi", "12e6".
//!
//! Follows `resource.Quantity` of apimachinery to the letter, its oddities
//! included, because the spelling is part of the pod-template hash: "0.5"
//! becomes "500m", "1024Mi" becomes "1Gi", and yet "1.500" stays as it is.

/// An exact decimal amount and the notation it came in.
pub(super) struct Quantity {
    negative: bool,
    /// Decimal digits as ASCII, without zeros at either end; none for zero.
    digits: Vec<u8>,
    /// The power of ten of the last digit.
    exponent: i64,
    notation: Notation,
    /// The spelling that Go keeps instead of computing one.
    kept: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Notation {
    /// 12M
    Decimal,
    /// 12Mi
    Binary,
    /// 12e6
    Exponent,
}

/// The text of a quantity, cut where its parts meet.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

const DECIMAL_SUFFIXES: [(&str, i64); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Amounts finer than a billionth are rounded up to one.
const FINEST: i64 = -9;
const MILLI: i64 = -3;

/// How many decimal digits Go trusts an int64 with.
const INT64_DIGITS: i64 = 18;

impl Quantity {
    /// Reads a quantity; `None` when Kubernetes would refuse it.
    pub(super) fn parse(text: &str) -> Option<Quantity> {
        let text = text.trim();
        if text == "0" {
            return Some(Quantity::zero(Some("0".to_owned())));
        }
        let parts = Parts::cut(text)?;
        let (notation, power) = interpret(parts.suffix)?;
        let mut quantity = Quantity {
            negative: parts.negative,
            digits: [parts.whole.as_bytes(), parts.fraction.as_bytes()].concat(),
            exponent: -length(parts.fraction),
            notation,
            kept: keeps_spelling(&parts, notation, power).then(|| text.to_owned()),
        };
        if notation == Notation::Binary {
            for _ in 0..power {
                quantity.multiply_by_1024();
            }
        } else {
            quantity.exponent += power;
        }
        quantity.trim();
        quantity.round_up_to(FINEST);
        quantity.cap_binary();
        Some(quantity)
    }

    fn zero(kept: Option<String>) -> Quantity {
        Quantity { negative: false, digits: Vec::new(), exponent: 0, notation: Notation::Decimal, kept }
    }

    /// The spelling after Go read it, wrote it, and read and wrote it again.
    ///
    /// Argo Rollouts sends every Rollout through JSON once more before it
    /// hashes it, and the second turn can change the first: 1.953125Ki is
    /// written as 2000 and that as 2k.
    pub(super) fn canonical(text: &str) -> Option<String> {
        let once = Quantity::parse(text)?.spelled();
        Some(Quantity::parse(&once).map_or(once, |quantity| quantity.spelled()))
    }

    /// One text per amount, whatever its notation, in whole thousandths.
    ///
    /// The API server rounds resource lists up to thousandths, so a template
    /// read back from it would otherwise differ from the one sent.
    pub(super) fn amount(text: &str) -> Option<String> {
        let mut quantity = Quantity::parse(text)?;
        quantity.round_up_to(MILLI);
        let sign = if quantity.negative { "-" } else { "" };
        Some(format!("{sign}{}e{}", quantity.digits_text(), quantity.exponent))
    }

    fn spelled(self) -> String {
        if let Some(kept) = self.kept {
            return kept;
        }
        if self.digits.is_empty() {
            return "0".to_owned();
        }
        match self.notation {
            Notation::Binary => self.binary().unwrap_or_else(|| self.decimal(Notation::Decimal)),
            Notation::Decimal | Notation::Exponent => self.decimal(self.notation),
        }
    }

    /// Writes the largest power of 1024; `None` below 1024 and for fractions.
    fn binary(&self) -> Option<String> {
        let power = u32::try_from(self.exponent).ok()?;
        let mut value = self.digits_text().parse::<u64>().ok()?.checked_mul(10u64.checked_pow(power)?)?;
        if value < 1024 {
            return None;
        }
        let mut thousands = 0;
        while value >= 1024 && value.is_multiple_of(1024) {
            value /= 1024;
            thousands += 1;
        }
        let sign = if self.negative { "-" } else { "" };
        BINARY_SUFFIXES.get(thousands).map(|suffix| format!("{sign}{value}{suffix}"))
    }

    fn decimal(&self, notation: Notation) -> String {
        let padding = self.exponent.rem_euclid(3);
        let power = self.exponent - padding;
        let zeros = ["", "0", "00"][padding as usize % 3];
        let suffix = match notation {
            Notation::Exponent if power == 0 => String::new(),
            Notation::Exponent => format!("e{power}"),
            // Go writes no suffix at all beyond the ones it knows.
            Notation::Decimal | Notation::Binary => DECIMAL_SUFFIXES
                .iter()
                .find(|(_, known)| *known == power)
                .map_or("", |(suffix, _)| suffix)
                .to_owned(),
        };
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}{zeros}{suffix}", self.digits_text())
    }

    fn digits_text(&self) -> String {
        self.digits.iter().copied().map(char::from).collect()
    }

    fn multiply_by_1024(&mut self) {
        let mut carry = 0u32;
        for digit in self.digits.iter_mut().rev() {
            let product = u32::from(*digit - b'0') * 1024 + carry;
            *digit = b'0' + (product % 10) as u8;
            carry = product / 10;
        }
        if carry > 0 {
            self.digits.splice(0..0, carry.to_string().into_bytes());
        }
    }

    fn trim(&mut self) {
        let leading = self.digits.iter().take_while(|digit| **digit == b'0').count();
        self.digits.drain(..leading);
        while self.digits.last() == Some(&b'0') {
            self.digits.pop();
            self.exponent += 1;
        }
        if self.digits.is_empty() {
            self.negative = false;
            self.exponent = 0;
        }
    }

    /// Rounds away from zero: asking for a little gives a little, not nothing.
    fn round_up_to(&mut self, finest: i64) {
        let Ok(dropped) = usize::try_from(finest - self.exponent) else { return };
        if dropped == 0 || self.digits.is_empty() {
            return;
        }
        // The digits end in a non-zero one, so what is dropped was not nothing.
        self.digits.truncate(self.digits.len().saturating_sub(dropped));
        self.exponent = finest;
        match self.digits.iter().rposition(|digit| *digit != b'9') {
            Some(place) => {
                self.digits[place] += 1;
                self.digits[place + 1..].fill(b'0');
            }
            None => {
                self.digits.fill(b'0');
                self.digits.insert(0, b'1');
            }
        }
        self.trim();
    }

    /// Binary amounts end at the largest int64; tiny ones become decimal.
    fn cap_binary(&mut self) {
        if self.notation != Notation::Binary || self.digits.is_empty() {
            return;
        }
        let magnitude = length(&self.digits_text()) + self.exponent;
        if magnitude <= 0 {
            self.notation = Notation::Decimal;
        }
        let most = i64::MAX.to_string();
        let beyond = match magnitude.cmp(&length(&most)) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => self.digits.as_slice() > most.as_bytes(),
            std::cmp::Ordering::Greater => true,
        };
        if beyond {
            self.digits = most.into_bytes();
            self.exponent = 0;
        }
    }
}

impl<'a> Parts<'a> {
    fn cut(text: &'a str) -> Option<Parts<'a>> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, rest) = split_at_end_of(rest.trim_start_matches('0'), |c| c.is_ascii_digit());
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => split_at_end_of(rest, |c| c.is_ascii_digit()),
            None => ("", rest),
        };
        let (_, power) = split_at_end_of(suffix, |c| "eEinumkKMGTP".contains(c));
        let power = power.strip_prefix(['+', '-']).unwrap_or(power);
        let whole = if whole.is_empty() { "0" } else { whole };
        power.bytes().all(|c| c.is_ascii_digit()).then_some(Parts { negative, whole, fraction, suffix })
    }
}

fn split_at_end_of(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// Gives the power of ten that a suffix stands for, or of 1024 for binary ones.
fn interpret(suffix: &str) -> Option<(Notation, i64)> {
    if let Some((_, power)) = DECIMAL_SUFFIXES.iter().find(|(known, _)| *known == suffix) {
        return Some((Notation::Decimal, *power));
    }
    if let Some(power) = BINARY_SUFFIXES.iter().position(|known| *known == suffix) {
        return Some((Notation::Binary, power as i64));
    }
    let power = suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
    Some((Notation::Exponent, i64::from(power)))
}

/// Tells whether Go takes a spelling for canonical without rewriting it.
///
/// It does so when the number fits an int64 and a quick look finds nothing to
/// simplify: "1500m" and even "1.500", but not "1000m", "1.5" or "8Mi".
fn keeps_spelling(parts: &Parts<'_>, notation: Notation, power: i64) -> bool {
    let digits = length(parts.whole) + length(parts.fraction);
    let number = [parts.whole, parts.fraction].concat();
    if notation == Notation::Binary {
        // 1024 to the power of n has about 3n decimal digits.
        let room = 15 - digits - power * 3 - 1;
        return room >= 0 && parts.fraction.is_empty() && number.parse::<i64>().is_ok_and(|n| n & 7 != 0);
    }
    let scale = power - length(parts.fraction);
    digits <= INT64_DIGITS
        && scale >= FINEST
        && scale % 3 == 0
        && !number.ends_with("000")
        && !number.starts_with('0')
}

fn length(text: &str) -> i64 {
    text.len() as i64
}
