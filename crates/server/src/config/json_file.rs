//! `appsettings.json`: JSON with comments, trailing commas and perhaps a byte order mark.

use std::io;
use std::path::Path;

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::layer::{Layer, is_host_key};
use super::report::{Mistake, Problem, Source};

/// What one appsettings file says.
#[derive(Default)]
pub(super) struct JsonFile {
    pub(super) name: String,
    pub(super) found: bool,
    pub(super) settings: Layer,
    pub(super) mistakes: Vec<Mistake>,
}

impl JsonFile {
    /// Reads a file of the directory; none there is as good as an empty one.
    pub(super) fn read(directory: &Path, name: String) -> Self {
        let mut file = Self { name, found: true, ..Self::default() };
        match std::fs::read_to_string(directory.join(&file.name)) {
            Ok(text) => file.parse(text.strip_prefix('\u{feff}').unwrap_or(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => file.found = false,
            Err(error) => file.mistake(None, Problem::Unreadable(error)),
        }
        file
    }

    fn parse(&mut self, text: &str) {
        match parse_to_ast(text, &CollectOptions::default(), &as_dotnet_reads()).map(|parsed| parsed.value) {
            Ok(Some(Value::Object(object))) => self.object("", &object),
            Ok(_) => self.mistake(None, Problem::NotAnObject),
            Err(error) => {
                let (line, column) = (error.line_display(), error.column_display());
                let reason = error.kind().to_string();
                self.mistake(None, Problem::Json { line, column, reason });
            }
        }
    }

    fn object(&mut self, section: &str, object: &Object<'_>) {
        for property in &object.properties {
            self.value(join(section, property.name.as_str()), &property.value);
        }
    }

    fn value(&mut self, key: String, value: &Value<'_>) {
        let text = match value {
            Value::Object(object) => return self.object(&key, object),
            Value::Array(array) => {
                for (index, element) in array.elements.iter().enumerate() {
                    self.value(join(&key, &index.to_string()), element);
                }
                return;
            }
            Value::StringLit(string) => &*string.value,
            Value::NumberLit(number) => number.value,
            Value::BooleanLit(boolean) if boolean.value => "true",
            Value::BooleanLit(_) => "false",
            Value::NullKeyword(_) => "",
        };
        let source = Source::File(self.name.clone());
        if !is_host_key(&key) && !self.settings.set(key.clone(), text, source) {
            let shown = super::secrets::shown(&key, text);
            self.mistake(Some((key, shown)), Problem::DuplicateKey);
        }
    }

    fn mistake(&mut self, setting: Option<(String, String)>, problem: Problem) {
        let source = Source::File(self.name.clone());
        self.mistakes.push(Mistake { setting, source, problem });
    }
}

fn join(section: &str, name: &str) -> String {
    match section.is_empty() {
        true => name.to_owned(),
        false => format!("{section}:{name}"),
    }
}

/// Exactly the liberties of .NET's JSON configuration provider, no others.
fn as_dotnet_reads() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}
