//! The parameters of a hub method.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericArgument, PathArguments, PathSegment, Type};

use crate::check::is_unnameable;

/// Why a type cannot be a parameter's, if its text tells.
pub(crate) fn mistake(ty: &Type) -> Option<String> {
    match ty {
        Type::Reference(reference) => {
            let (borrowed, owned) = (text(reference), owned(&reference.elem));
            Some(format!("a hub method's parameters are its own: take `{owned}` instead of `{borrowed}`"))
        }
        Type::ImplTrait(_) => {
            Some("a hub method's parameters have types of their own: name one instead of `impl`".to_owned())
        }
        Type::Path(path) => {
            let first = path.path.segments.first()?;
            let is_of_axum = path.path.segments.len() > 1 && first.ident == "axum";
            is_of_axum.then(|| {
                let name = path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
                format!(
                    "axum's extractors are for HTTP requests, not for hub methods: the state of a hub is `hubline::State<T>`, what the \
                     connection's request said is in `hubline::Caller` (this is axum's `{name}`)"
                )
            })
        }
        _ => None,
    }
}

/// The owned type for what is borrowed.
fn owned(borrowed: &Type) -> String {
    match borrowed {
        Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
        Type::Slice(slice) => format!("Vec<{}>", text(&slice.elem)),
        other => text(other),
    }
}

fn text(tokens: &impl ToTokens) -> String {
    let spaced = tokens.to_token_stream().to_string();
    let tight = spaced.replace("& ", "&").replace(" :: ", "::").replace(" <", "<").replace("< ", "<");
    tight.replace(" >", ">").replace(" ,", ",").replace("[ ", "[").replace(" ]", "]")
}

/// The type of the state, if the parameters tell: what the one `State<T>` has.
pub(crate) fn state(parameters: &[&Type]) -> Option<Type> {
    let mut states = parameters.iter().filter_map(|ty| state_in(ty));
    let state = states.next()?;
    states.all(|other| text(other) == text(state)).then(|| state.clone())
}

fn state_in(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let PathSegment { ident, arguments: PathArguments::AngleBracketed(arguments) } =
        path.path.segments.last()?
    else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(state) if ident == "State" => Some(state),
        _ => None,
    }
}

/// Code that compiles if a type can be a parameter's.
pub(crate) fn check(ty: &Type, state: Option<&Type>) -> TokenStream {
    // With several `State`s nobody has said which state they are parts of.
    if is_unnameable(ty) || (state.is_none() && state_in(ty).is_some()) {
        return TokenStream::new();
    }
    let state = state.map_or_else(|| quote!(()), ToTokens::to_token_stream);
    let bound = quote_spanned!(ty.span()=> #ty: ::hubline::FromInvocation<#state>);
    quote!(const _: () = { fn parameter() where #bound {} };)
}
