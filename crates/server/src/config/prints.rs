//! What instances compare their configurations by.

use super::describe::EffectiveSetting;
use super::key::Content;
use super::reader::Reader;
use super::secrets::HIDDEN;
use crate::check::{Print, Prints};

impl Reader {
    /// Every value in effect, with what is written for it where that is not shown.
    pub(super) fn prints(&self) -> Prints {
        let print =
            |setting: &EffectiveSetting| Print::of(setting.value.as_deref(), self.hidden(setting).as_deref());
        self.effective.iter().map(|setting| (setting.key.clone(), print(setting))).collect()
    }

    /// What is written for a key whose value is not shown, or not all of it.
    fn hidden(&self, setting: &EffectiveSetting) -> Option<String> {
        let declared = self.declared.iter().find(|declared| declared.key.covers(&setting.key))?;
        let is_cut = setting.value.as_deref().is_some_and(|value| value.contains(HIDDEN));
        let is_hidden = declared.key.content != Content::Plain || is_cut;
        is_hidden.then(|| {
            let written = self.settings.iter().filter(|written| declared.key.covers(&written.key));
            written.map(|written| written.value.trim()).collect::<Vec<_>>().join("\n")
        })
    }
}
