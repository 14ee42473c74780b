//! Cron expressions, and which of their fields is wrong.

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};

use super::Invalid;

/// The longest expression, in bytes.
pub(super) const EXPRESSION_MAX_BYTES: usize = 128;

/// The fields, in their order.
const FIELDS: [&str; 6] = [
    "second",
    "minute",
    "hour",
    "day of month",
    "month",
    "day of week",
];

/// The names for expressions.
const NICKNAMES: [&str; 6] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@hourly",
];

/// Reads an expression of five fields, of six with seconds in front, or one of the names.
pub(super) fn parse(expression: &str) -> Result<Cron, Invalid> {
    let invalid = |reason: String| Invalid::new("cron", reason);
    if expression.len() > EXPRESSION_MAX_BYTES {
        let reason = format!("the expression is longer than {EXPRESSION_MAX_BYTES} bytes");
        return Err(invalid(reason));
    }
    let expression = expression.trim();
    if expression.starts_with('@') {
        let is_known = |name: &&str| name.eq_ignore_ascii_case(expression);
        if !NICKNAMES.iter().any(is_known) {
            let reason = format!("{expression:?} is no name: write {}", NICKNAMES.join(", "));
            return Err(invalid(reason));
        }
        return read(expression).map_err(|error| invalid(describe(&error)));
    }
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if !(5..=6).contains(&fields.len()) {
        let reason = format!(
            "{expression:?} has {} fields: write five (minute, hour, day of month, month, day of week), or six with \
             seconds in front",
            fields.len()
        );
        return Err(invalid(reason));
    }
    read(expression).map_err(|error| {
        let names = &FIELDS[FIELDS.len() - fields.len()..];
        let wrong = names.iter().zip(&fields).enumerate().find_map(|(at, it)| {
            let mut alone = vec!["*"; fields.len()];
            alone[at] = it.1;
            read(&alone.join(" ")).err().map(|error| (it, error))
        });
        match wrong {
            Some(((name, field), error)) => invalid(format!(
                "{field:?} in the field {name}: {}",
                describe(&error)
            )),
            None => invalid(describe(&error)),
        }
    })
}

fn read(expression: &str) -> Result<Cron, CronError> {
    CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .build()
        .parse(expression)
}

fn describe(error: &CronError) -> String {
    let text = match error {
        CronError::IllegalCharacters(_) => {
            "write numbers, names like MON or JAN, `*`, `,`, `-` and `/`".to_owned()
        }
        CronError::ComponentError(text) | CronError::InvalidPattern(text) => text.to_lowercase(),
        error => error.to_string().to_lowercase(),
    };
    text.trim_end_matches('.').to_owned()
}
