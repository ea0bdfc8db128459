//! What somebody must be to get in.

use std::fmt;
use std::sync::Arc;

use crate::Principal;

/// What a hub's path, or one of its methods, requires of whoever calls (ASP.NET Core's authorization policy).
///
/// ```
/// use hubline_identity::{Access, Policy, Principal};
///
/// let doctors = Policy::authenticated().role("Doctor");
/// assert_eq!(doctors.evaluate(None), Access::Unauthenticated);
/// assert_eq!(doctors.evaluate(Some(&Principal::of_user("ada"))), Access::Forbidden);
/// ```
#[derive(Clone)]
pub struct Policy {
    requirements: Vec<Requirement>,
}

#[derive(Clone)]
enum Requirement {
    AnyRole(Box<[Box<str>]>),
    AnyClaim(Box<str>, Box<[Box<str>]>),
    Assertion(Arc<dyn Fn(&Principal) -> bool + Send + Sync>),
}

/// What a [`Policy`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Come in.
    Granted,
    /// Nobody is signed in: status 401.
    Unauthenticated,
    /// Whoever is signed in may not: status 403.
    Forbidden,
}

impl Policy {
    /// Anybody who is signed in.
    pub fn authenticated() -> Self {
        Self { requirements: Vec::new() }
    }

    /// And has this role.
    #[must_use]
    pub fn role(self, role: &str) -> Self {
        self.any_role([role])
    }

    /// And has at least one of these roles.
    #[must_use]
    pub fn any_role<'a>(self, roles: impl IntoIterator<Item = &'a str>) -> Self {
        self.and(Requirement::AnyRole(roles.into_iter().map(Into::into).collect()))
    }

    /// And claims `name` with at least one of these values; with any value if there are none.
    #[must_use]
    pub fn claim<'a>(self, name: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        self.and(Requirement::AnyClaim(name.into(), values.into_iter().map(Into::into).collect()))
    }

    /// And passes a test of the application's own.
    #[must_use]
    pub fn assert(self, test: impl Fn(&Principal) -> bool + Send + Sync + 'static) -> Self {
        self.and(Requirement::Assertion(Arc::new(test)))
    }

    /// And meets another policy too.
    #[must_use]
    pub fn and_also(mut self, other: &Self) -> Self {
        self.requirements.extend(other.requirements.iter().cloned());
        self
    }

    /// Whether `principal` may.
    pub fn evaluate(&self, principal: Option<&Principal>) -> Access {
        match principal {
            None => Access::Unauthenticated,
            Some(principal) if self.requirements.iter().all(|required| required.is_met(principal)) => {
                Access::Granted
            }
            Some(_) => Access::Forbidden,
        }
    }

    fn and(mut self, requirement: Requirement) -> Self {
        self.requirements.push(requirement);
        self
    }
}

impl Requirement {
    fn is_met(&self, principal: &Principal) -> bool {
        match self {
            Self::AnyRole(roles) => roles.iter().any(|role| principal.has_role(role)),
            Self::AnyClaim(name, values) => principal
                .claims(name)
                .any(|own| values.is_empty() || values.iter().any(|value| **value == *own)),
            Self::Assertion(test) => test(principal),
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.requirements).finish()
    }
}

impl fmt::Debug for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyRole(roles) => f.debug_tuple("AnyRole").field(roles).finish(),
            Self::AnyClaim(name, values) => f.debug_tuple("AnyClaim").field(name).field(values).finish(),
            Self::Assertion(_) => f.write_str("Assertion(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_requirements_must_be_met_and_one_value_of_each_will_do() {
        let ada =
            Principal::builder().user("ada").role("Doctor").role("Admin").claim("scope", "read").build();
        let access = |policy: Policy| policy.evaluate(Some(&ada));
        assert_eq!(access(Policy::authenticated()), Access::Granted);
        assert_eq!(access(Policy::authenticated().any_role(["Patient", "Admin"])), Access::Granted);
        assert_eq!(access(Policy::authenticated().role("Admin").role("Nurse")), Access::Forbidden);
        assert_eq!(access(Policy::authenticated().role("doctor")), Access::Forbidden);
        assert_eq!(access(Policy::authenticated().claim("scope", [])), Access::Granted);
        assert_eq!(access(Policy::authenticated().claim("scope", ["write", "read"])), Access::Granted);
        assert_eq!(access(Policy::authenticated().claim("scope", ["write"])), Access::Forbidden);
        assert_eq!(access(Policy::authenticated().assert(|who| who.name.is_some())), Access::Forbidden);
    }
}
