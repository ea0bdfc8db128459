//! Names of fields: from serde's to those of C# members and of their JSON properties.

use smallvec::SmallVec;

/// A name; up to 64 bytes of it cost no allocation.
#[derive(Default)]
pub(crate) struct WireName(SmallVec<[u8; 64]>);

impl WireName {
    /// `user_name` and `userName` as `UserName`: what C# calls the member.
    pub(super) fn member(field: &str) -> Self {
        let mut name = Self::default();
        let mut word_begins = true;
        for character in field.chars() {
            match character {
                '_' => word_begins = true,
                _ if word_begins => {
                    character.to_uppercase().for_each(|upper| name.push(upper));
                    word_begins = false;
                }
                _ => name.push(character),
            }
        }
        if name.0.is_empty() {
            name.0.extend_from_slice(field.as_bytes());
        }
        name
    }

    /// The member's name under `JsonNamingPolicy.CamelCase`: `userName`, and `ipAddress` for `IPAddress`.
    pub(super) fn property(field: &str) -> Self {
        let member = Self::member(field);
        let member = member.as_str();
        let upper = member.chars().take_while(|character| character.is_uppercase()).count();
        let next_word = usize::from(upper < member.chars().count());
        let lowered = upper.saturating_sub(next_word).max(1);
        let mut name = Self::default();
        for (at, character) in member.chars().enumerate() {
            if at < lowered {
                character.to_lowercase().for_each(|lower| name.push(lower));
            } else {
                name.push(character);
            }
        }
        name
    }

    fn push(&mut self, character: char) {
        self.0.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    pub(super) fn as_str(&self) -> &str {
        // It holds whole characters only.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Whether `name` is that of the field's C# member.
pub(super) fn is_member(field: &str, name: &str) -> bool {
    WireName::member(field).as_str() == name
}

/// Whether `name` is that of the field's JSON property, in any case.
pub(super) fn is_property(field: &str, name: &str) -> bool {
    if name.eq_ignore_ascii_case(field) {
        return true;
    }
    let member = WireName::member(field);
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<SmallVec<[char; 16]>>();
    name.eq_ignore_ascii_case(member.as_str()) || !name.is_ascii() && lower(name) == lower(member.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_properties() {
        for (field, member, property) in [
            ("name", "Name", "name"),
            ("user_name", "UserName", "userName"),
            ("userName", "UserName", "userName"),
            ("UserName", "UserName", "userName"),
            ("IPAddress", "IPAddress", "ipAddress"),
            ("ID", "ID", "id"),
            ("x_y", "XY", "xy"),
            ("address_2", "Address2", "address2"),
            ("a1", "A1", "a1"),
            ("über_größe", "ÜberGröße", "überGröße"),
            ("_id", "Id", "id"),
            ("_", "_", "_"),
            ("", "", ""),
        ] {
            assert_eq!(WireName::member(field).as_str(), member);
            assert_eq!(WireName::property(field).as_str(), property);
            assert!(is_member(field, member));
            assert!(is_property(field, property));
        }
    }

    #[test]
    fn properties_are_found_in_any_case_and_members_are_not() {
        assert!(is_property("user_name", "USERname"));
        assert!(is_property("über", "ÜBER"));
        assert!(!is_property("user_name", "user-name"));
        assert!(!is_property("name", "nam"));
        assert!(!is_member("name", "name"));
        assert!(!is_member("user_name", "Username"));
    }

    #[test]
    fn long_names_are_kept_whole() {
        let field = "long_".repeat(40);
        assert_eq!(WireName::member(&field).as_str(), "Long".repeat(40));
    }
}
