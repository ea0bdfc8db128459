//! What the compiler says of a beginner's mistakes.
//!
//! The texts are those of the compiler that `rust-version` names. `TRYBUILD=overwrite cargo test -p hubline-macros --test
//! mistakes -- --ignored` writes them anew; then read them: each has to name the culprit and the cure.

#[test]
#[ignore = "takes a minute, and wants the compiler that `rust-version` names; `cargo xtask test` runs it"]
fn each_mistake_is_told_with_its_culprit_and_its_cure() {
    trybuild::TestCases::new().compile_fail("tests/mistakes/*.rs");
}
