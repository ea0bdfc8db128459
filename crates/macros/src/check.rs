//! What is looked at in a function: its text here, its types by the compiler.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, PatType, Result, Signature, Type};

use crate::method::Returns;
use crate::parameter;

/// As many implementations as the trait `Handler` has.
const MOST_PARAMETERS: usize = 12;

/// Finds every mistake that the text shows.
pub(crate) fn signature(signature: &Signature, returns: &Returns) -> Result<()> {
    let mut found = Mistakes::default();
    if signature.asyncness.is_none() && !matches!(returns, Returns::Stream) {
        let text = "a hub method is an `async fn`: write `async` in front (only a method for `Hub::stream` that returns `impl Stream` \
                    may go without)";
        found.add(signature.fn_token.span(), text);
    }
    if let Some(extra) = signature.inputs.iter().nth(MOST_PARAMETERS) {
        let text = format!(
            "a hub method has {MOST_PARAMETERS} parameters at most, and this is one more: put several arguments into one structure"
        );
        found.add(extra.span(), text);
    }
    for parameter in &signature.inputs {
        match parameter {
            FnArg::Receiver(receiver) => {
                let text = "a hub method has no `self`: give the value to `Hub::with_state(name, value)` and take it as `State<T>`";
                found.add(receiver.span(), text);
            }
            FnArg::Typed(PatType { ty, .. }) => {
                if let Some(text) = parameter::mistake(ty) {
                    found.add(ty.span(), text);
                }
            }
        }
    }
    found.0.map_or(Ok(()), Err)
}

#[derive(Default)]
struct Mistakes(Option<Error>);

impl Mistakes {
    fn add(&mut self, span: proc_macro2::Span, text: impl std::fmt::Display) {
        let error = Error::new(span, text);
        match &mut self.0 {
            Some(found) => found.combine(error),
            none => *none = Some(error),
        }
    }
}

/// Code that compiles if each type is one that a hub method can have; the compiler's errors point at the types.
pub(crate) fn types(signature: &Signature, returns: &Returns, state: Option<Type>) -> TokenStream {
    // What is generic is checked where it is registered.
    if signature.generics.type_params().next().is_some() {
        return TokenStream::new();
    }
    let parameters: Vec<&Type> = signature.inputs.iter().filter_map(type_of).collect();
    let state = state.or_else(|| parameter::state(&parameters));
    let parameters = parameters.iter().map(|ty| parameter::check(ty, state.as_ref()));
    let returned = match returns {
        Returns::Stream => TokenStream::new(),
        Returns::Result(ty) | Returns::Value(ty) if is_unnameable(ty) => TokenStream::new(),
        Returns::Result(ty) => {
            let check = quote_spanned!(ty.span()=> ::hubline::__private::is_hub_result(result));
            quote!(fn returned(result: #ty) { #check })
        }
        Returns::Value(ty) => {
            let bound = quote_spanned!(ty.span()=> #ty: ::hubline::__private::Serialize);
            quote!(fn returned() where #bound {})
        }
    };
    quote! {
        #[allow(warnings, clippy::all, reason = "nothing of it runs")]
        const _: () = {
            #(#parameters)*
            #returned
        };
    }
}

fn type_of(parameter: &FnArg) -> Option<&Type> {
    match parameter {
        FnArg::Typed(PatType { ty, .. }) => Some(ty),
        FnArg::Receiver(_) => None,
    }
}

/// Whether a type can only be written where it stands.
pub(crate) fn is_unnameable(ty: &Type) -> bool {
    names(ty, |name| matches!(name, "impl" | "Self" | "_"))
}

/// Whether some name or keyword in a type is such.
pub(crate) fn names(ty: &Type, is_such: impl Fn(&str) -> bool + Copy) -> bool {
    fn any(tokens: TokenStream, is_such: impl Fn(&str) -> bool + Copy) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(name) => is_such(&name.to_string()),
            TokenTree::Group(group) => any(group.stream(), is_such),
            TokenTree::Punct(_) | TokenTree::Literal(_) => false,
        })
    }
    any(ty.to_token_stream(), is_such)
}
