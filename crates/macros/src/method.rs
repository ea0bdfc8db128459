//! What stands in the place of a function with the attribute.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Error, ItemFn, Result, ReturnType, Token, Type};

use crate::check;

pub(crate) fn expand(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let Ok(parsed) = syn::parse2::<ItemFn>(function.clone()) else {
        let text = "`#[hubline::method]` belongs on a function with a body, outside of `trait`s";
        let error = Error::new(function.span(), text).into_compile_error();
        return quote!(#error #function);
    };
    match expand_function(arguments, parsed) {
        Ok(expanded) => expanded,
        // The function stays, so that what calls it is not a mistake too.
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#error #function)
        }
    }
}

fn expand_function(arguments: TokenStream, function: ItemFn) -> Result<TokenStream> {
    let state = state(arguments)?;
    let returns = Returns::of(&function);
    check::signature(&function.sig, &returns)?;
    let checks = check::types(&function.sig, &returns, state);
    Ok(write(function, &returns, &checks))
}

/// The type in `state = Type`.
fn state(arguments: TokenStream) -> Result<Option<Type>> {
    if arguments.is_empty() {
        return Ok(None);
    }
    let span = arguments.span();
    let expected = || Error::new(span, "expected nothing, or the type of the hub's state: `state = App`");
    let named = Parser::parse2(<MetaState as syn::parse::Parse>::parse, arguments).map_err(|_| expected())?;
    if named.name == "state" { Ok(Some(named.state)) } else { Err(expected()) }
}

struct MetaState {
    name: syn::Ident,
    state: Type,
}

impl syn::parse::Parse for MetaState {
    fn parse(input: syn::parse::ParseStream<'_>) -> Result<Self> {
        let name = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self { name, state: input.parse()? })
    }
}

/// What a function returns, as far as its text tells.
pub(crate) enum Returns {
    Stream,
    /// A type that is called `Result`, or ends so.
    Result(Type),
    Value(Type),
}

impl Returns {
    fn of(function: &ItemFn) -> Self {
        let ReturnType::Type(_, returned) = &function.sig.output else {
            return Self::Value(syn::parse_quote!(()));
        };
        let returned = &**returned;
        if check::names(returned, |name| name.ends_with("Stream")) {
            return Self::Stream;
        }
        match returned {
            Type::Path(path)
                if path
                    .path
                    .segments
                    .last()
                    .is_some_and(|last| last.ident.to_string().ends_with("Result")) =>
            {
                Self::Result(returned.clone())
            }
            _ => Self::Value(returned.clone()),
        }
    }
}

fn write(function: ItemFn, returns: &Returns, checks: &TokenStream) -> TokenStream {
    let ItemFn { attrs, vis, mut sig, block, .. } = function;
    let statements = &block.stmts;
    let future = |returned: &Type| {
        let span = returned.span();
        quote_spanned!(span=> impl ::core::future::Future<Output = #returned> + ::core::marker::Send + 'static)
    };
    // The braces are the author's, so that what is wrong at the end of the body is shown there.
    let body = quote_spanned!(block.span()=> async move { #(#statements)* });
    let (output, body) = match returns {
        Returns::Stream => {
            return quote! {
                #(#attrs)* #vis #sig {
                    #checks
                    #(#statements)*
                }
            };
        }
        Returns::Result(returned) => {
            let (span, future) = (returned.span(), future(returned));
            let output = quote_spanned!(span=> ::hubline::ResultFuture<#future>);
            (output, quote_spanned!(span=> ::hubline::ResultFuture(#body)))
        }
        Returns::Value(returned) => (future(returned), body),
    };
    sig.asyncness = None;
    sig.output = ReturnType::Default;
    quote! {
        #(#attrs)*
        #[allow(clippy::manual_async_fn, reason = "the signature promises that the future is `Send`")]
        #vis #sig -> #output {
            #checks
            #body
        }
    }
}
