//! The attribute `#[hubline::method]`, which the feature `macros` of the crate `hubline` brings.

mod check;
mod method;
mod parameter;

use proc_macro::TokenStream;

/// Checks a hub method where it is written, and reads the `Result` that it returns as one.
///
/// Whatever [`Hub::method`](https://docs.rs/hubline) and `Hub::stream` take is a hub method without it. With it the compiler
/// names the parameter, the result or the line that keeps a function from being one, where it otherwise says of the whole
/// function that it is none. And an error that can be serialized too (a `String`, one that derives `Serialize`) makes a
/// call fail, where the compiler could otherwise not tell whether the `Result` is meant as a value.
///
/// ```
/// use hubline::{Clients, Hub, HubError};
///
/// #[hubline_macros::method]
/// async fn send_message(clients: Clients, text: String) -> Result<(), HubError> {
///     clients.all().send("ReceiveMessage", (text,)).await?;
///     Ok(())
/// }
/// let hub = Hub::new("Chat").method("SendMessage", send_message);
/// ```
///
/// The function stays what it was, with one difference: where it returns a `Result`, calling it gives a
/// `ResultFuture`, which is awaited like any other future.
///
/// An extractor of your own that reads the hub's state needs the state's type: `#[hubline::method(state = App)]`. With it the
/// compiler also says of a `State<T>` whether `T` is a part of `App`.
///
/// A function whose return type names a `Stream` is a streaming method: its parameters are checked, its stream is not.
#[proc_macro_attribute]
pub fn method(arguments: TokenStream, function: TokenStream) -> TokenStream {
    method::expand(arguments.into(), function.into()).into()
}
