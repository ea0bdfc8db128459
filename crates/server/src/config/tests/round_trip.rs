//! What `hubline config` shows can be set.

use super::*;

/// Where nothing is set, and the value says in words what that means.
const WORDS: [&str; 4] = ["none but its own", "none", "agreed between the instances", "loopback"];

/// How a value is shown.
fn shown(loaded: &Loaded, key: &str) -> Option<String> {
    loaded.settings.iter().find(|setting| setting.key == key)?.value.clone()
}

#[test]
fn every_value_that_is_shown_can_be_set() {
    let defaults = Setup::new().loaded();
    let mut tried = 0;
    for EffectiveSetting { key, value, .. } in &defaults.settings {
        let Some(value) = value.as_deref().filter(|value| !WORDS.contains(value)) else { continue };
        let again = Setup::new().set(key, value).loaded();
        assert_eq!(shown(&again, key).as_deref(), Some(value), "{key}");
        tried += 1;
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn every_span_of_time_is_read_as_it_is_shown() {
    let spans: Vec<_> = super::known::all()
        .iter()
        .filter(|known| known.unit == "time span")
        .map(|known| known.key.name())
        .collect();
    assert!(spans.len() > 15, "{spans:?}");
    for key in spans {
        let takes = |value: &str| Setup::new().set(key, value).result().ok();
        let taken: Vec<_> = ["00:00:01.5", "00:00:20", "12:00:00", "30.00:00:00"]
            .into_iter()
            .filter_map(|value| Some((value, shown(&takes(value)?, key)?)))
            .collect();
        assert!(!taken.is_empty(), "{key} takes one of these");
        for (value, as_shown) in taken {
            let again = takes(&as_shown).unwrap_or_else(|| panic!("{key} = {as_shown}, from {value}"));
            assert_eq!(shown(&again, key), Some(as_shown), "{key}");
        }
    }
}
