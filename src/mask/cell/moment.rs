//! Stand-ins of dates and timestamps. Text is read in the ISO style alone; what a session with
//! another style is sent becomes NULL, for its client would not read ours either.
//!
//! A timestamp with a zone is taken in UTC in both formats: the binary one does not tell the
//! session's zone, and equal instants keep equal stand-ins. Its year, then, is that of UTC.

use std::io::Write;

use crate::model::mask::Strategy;

use super::Cell;
use super::Format;
use super::Shape;
use super::keys::Keys;
use super::keys::Kind;
use super::keys::Purpose;

pub(super) fn replace(
    strategy: Strategy,
    cell: Cell<'_>,
    keys: &Keys,
    out: &mut Vec<u8>,
) -> Option<()> {
    let is_date = cell.shape == &Shape::Date;
    let moment = Moment::read(cell)?;
    let days = match strategy {
        Strategy::Null => return None,
        Strategy::Redact
        | Strategy::Mask
        | Strategy::Hash
        | Strategy::Fpe
        | Strategy::Partial { .. } => -EPOCH_DAYS,
        Strategy::Pseudonym => {
            let kind = if is_date { Kind::Date } else { Kind::Instant };
            let mut draw = keys.draw(Purpose::Pseudonym, kind, &moment.count().to_be_bytes());
            let days = i64::try_from(draw.below(WINDOW_DAYS)).ok()? + WINDOW_FROM - EPOCH_DAYS;
            let second = if is_date { 0 } else { i64::try_from(draw.below(DAY_SECONDS)).ok()? };
            return write(cell, days, second, out);
        }
        Strategy::Year => match moment {
            Moment::Past | Moment::Future => {
                out.extend_from_slice(cell.bytes);
                return Some(());
            }
            Moment::Finite(count) => {
                let days = if is_date { count } else { count.div_euclid(DAY_MICROSECONDS) };
                let (year, ..) = civil(days + EPOCH_DAYS);
                Some(days_from_civil(year, 1, 1) - EPOCH_DAYS).filter(|days| *days >= FIRST_DAY)?
            }
        },
    };
    write(cell, days, 0, out)
}

/// Counted from 2000-01-01: days of a date, microseconds of a timestamp.
#[derive(Clone, Copy)]
enum Moment {
    Finite(i64),
    Past,
    Future,
}

impl Moment {
    fn read(cell: Cell<'_>) -> Option<Self> {
        let is_date = cell.shape == &Shape::Date;
        match cell.format {
            Format::Binary if is_date => {
                Some(match i32::from_be_bytes(cell.bytes.try_into().ok()?) {
                    i32::MIN => Self::Past,
                    i32::MAX => Self::Future,
                    days => Self::Finite(days.into()),
                })
            }
            Format::Binary => Some(match i64::from_be_bytes(cell.bytes.try_into().ok()?) {
                i64::MIN => Self::Past,
                i64::MAX => Self::Future,
                microseconds => Self::Finite(microseconds),
            }),
            Format::Text => match cell.bytes {
                b"-infinity" => Some(Self::Past),
                b"infinity" => Some(Self::Future),
                text => {
                    let mut text = Text(text);
                    let count = match is_date {
                        true => text.date()?.days(text.era()?)?,
                        false => text.timestamp(cell.shape == &Shape::Timestamptz)?,
                    };
                    text.0.is_empty().then_some(Self::Finite(count))
                }
            },
        }
    }

    const fn count(self) -> i64 {
        match self {
            Self::Past => i64::MIN,
            Self::Future => i64::MAX,
            Self::Finite(count) => count,
        }
    }
}

fn write(cell: Cell<'_>, days: i64, second: i64, out: &mut Vec<u8>) -> Option<()> {
    let is_date = cell.shape == &Shape::Date;
    match cell.format {
        Format::Binary if is_date => out.extend(i32::try_from(days).ok()?.to_be_bytes()),
        Format::Binary => {
            let count = days.checked_mul(DAY_MICROSECONDS)?.checked_add(second * 1_000_000)?;
            out.extend(count.to_be_bytes());
        }
        Format::Text => {
            let (year, month, day) = civil(days + EPOCH_DAYS);
            let (shown, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
            write!(out, "{shown:04}-{month:02}-{day:02}").ok()?;
            if !is_date {
                let (hour, minute) = (second / 3600, second / 60 % 60);
                write!(out, " {hour:02}:{minute:02}:{:02}", second % 60).ok()?;
            }
            if cell.shape == &Shape::Timestamptz {
                out.extend_from_slice(b"+00");
            }
            out.extend_from_slice(era.as_bytes());
        }
    }
    Some(())
}

/// What is left to read.
struct Text<'a>(&'a [u8]);

struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl Date {
    fn days(&self, is_before_christ: bool) -> Option<i64> {
        // The year before 1 is 1 BC.
        let year = if is_before_christ { 1 - self.year } else { self.year };
        let days = days_from_civil(year, self.month, self.day);
        let is_there = civil(days) == (year, self.month, self.day) && self.year > 0;
        is_there.then_some(days - EPOCH_DAYS)
    }
}

impl Text<'_> {
    fn date(&mut self) -> Option<Date> {
        let year = self.number(4, 7)?;
        self.sign(b'-')?;
        let month = self.number(2, 2)?;
        self.sign(b'-')?;
        let day = self.number(2, 2)?;
        let is_sound = (1..=12).contains(&month) && (1..=31).contains(&day);
        is_sound.then_some(Date { year, month, day })
    }

    fn timestamp(&mut self, has_zone: bool) -> Option<i64> {
        let date = self.date()?;
        self.sign(b' ')?;
        let mut seconds = self.number(2, 2)? * 3600;
        self.sign(b':')?;
        seconds += self.number(2, 2)? * 60;
        self.sign(b':')?;
        seconds += self.number(2, 2)?;
        let mut microseconds = 0;
        if self.sign(b'.').is_some() {
            let before = self.0.len();
            microseconds = self.number(1, 6)?;
            for _ in before - self.0.len()..6 {
                microseconds *= 10;
            }
        }
        if has_zone {
            seconds -= self.zone()?;
        }
        let days = date.days(self.era()?)?;
        days.checked_mul(DAY_MICROSECONDS)?.checked_add(seconds * 1_000_000 + microseconds)
    }

    /// Seconds east of Greenwich.
    fn zone(&mut self) -> Option<i64> {
        let is_west = self.sign(b'-').is_some();
        if !is_west {
            self.sign(b'+')?;
        }
        let mut seconds = self.number(2, 2)? * 3600;
        for unit in [60, 1] {
            if self.sign(b':').is_some() {
                seconds += self.number(2, 2)? * unit;
            }
        }
        Some(if is_west { -seconds } else { seconds })
    }

    /// Whether it is before Christ.
    fn era(&mut self) -> Option<bool> {
        match self.0 {
            b"" => Some(false),
            b" BC" => {
                self.0 = b"";
                Some(true)
            }
            _ => None,
        }
    }

    fn number(&mut self, digits_min: usize, digits_max: usize) -> Option<i64> {
        let digits = self.0.iter().take(digits_max).take_while(|byte| byte.is_ascii_digit());
        let (number, count) = digits.fold((0, 0), |(number, count), digit| {
            (number * 10 + i64::from(digit - b'0'), count + 1)
        });
        self.0 = self.0.get(count..)?;
        (count >= digits_min).then_some(number)
    }

    fn sign(&mut self, sign: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        if *first != sign {
            return None;
        }
        self.0 = rest;
        Some(())
    }
}

/// Days from 1970-01-01 in the Gregorian calendar, which the server too extends to all times. Years
/// are counted from March on, so that the leap day is the last.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * ERA_DAYS + day_of_era - MARCH_0000
}

/// Year, month and day of so many days from 1970-01-01.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + MARCH_0000;
    let (era, day_of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let leap_days = day_of_era / 1460 - day_of_era / 36524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

/// From 1970-01-01 to 2000-01-01, where the server counts from.
const EPOCH_DAYS: i64 = 10_957;
/// Four hundred years.
const ERA_DAYS: i64 = 146_097;
/// From the first of March of the year 0 to 1970-01-01.
const MARCH_0000: i64 = 719_468;
/// 4714-11-24 BC: the server knows none before.
const FIRST_DAY: i64 = -2_451_545;
const DAY_SECONDS: u64 = 86_400;
const DAY_MICROSECONDS: i64 = 86_400_000_000;
/// 1930-01-01, from 1970-01-01, and the days of a hundred years from there.
const WINDOW_FROM: i64 = -14_610;
const WINDOW_DAYS: u64 = 36_525;
