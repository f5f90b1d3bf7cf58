//! The way to the tokens that a URI selects: module file, p11-kit's configuration, start, tokens. No session is opened.

use std::env;
use std::path::Path;

use super::super::approach::{Approach, Landmark, ModuleNamedBy, Stage, WantedSecret};
use super::super::device::Pkcs11Options;
use super::super::error::KeyError;
use super::super::inventory::TokenInfo;
use super::super::secret::SecretKind;
use super::locate::{self, Located};
use super::module::Module;
use super::uri::Uri;
use super::{Modules, known_attributes, p11_kit};

impl Modules {
    /// How far the way to the URI's tokens goes. Loads the module where it is not loaded; two calls, and one for each slot.
    pub fn approach(&mut self, uri: &Uri) -> Approach {
        let mut approach = Approach::along(&[Stage::Library, Stage::Start, Stage::Token]);
        let located = locate::module(&self.options.pkcs11, &uri.module).map(|module| {
            (Landmark::Module { path: module.path.clone(), named_by: named_by(&self.options.pkcs11, uri) }, module)
        });
        let Some(module) = approach.go(Stage::Library, located) else { return approach };
        if is_proxy(&module) {
            let home = env::var_os("HOME");
            let proxied = p11_kit::modules(&module.path, home.as_deref().map(Path::new));
            approach.go(Stage::Configuration, Ok((Landmark::Proxied(proxied), ())));
        }
        let started = self.worker(module).and_then(|worker| {
            let description = worker.run(Module::description)?;
            Ok((Landmark::Started { description }, worker))
        });
        let Some(worker) = approach.go(Stage::Start, started) else { return approach };
        let wanted = uri.clone();
        let tokens = known_attributes(uri).and_then(|()| worker.run(move |module| survey(module, &wanted)));
        let tokens = approach.go(Stage::Token, tokens.map(|tokens| (Landmark::Tokens(tokens.clone()), tokens)));
        let asks = |token: &TokenInfo| token.login_required && !token.keypad;
        if tokens.is_some_and(|tokens| tokens.iter().any(asks)) {
            let from_reference = uri.pin.clone();
            approach.secrets.push(WantedSecret { kind: SecretKind::UserPin, certain: true, from_reference });
        }
        approach
    }
}

fn survey(module: &mut Module, uri: &Uri) -> Result<Vec<TokenInfo>, KeyError> {
    module.admit(uri)?;
    let places = module.matching(uri)?;
    let describe = |place| {
        let (api, token, _) = module.token_at(place)?;
        token.describe(api, uri)
    };
    places.into_iter().map(describe).collect()
}

fn named_by(options: &Pkcs11Options, uri: &Uri) -> ModuleNamedBy {
    match options {
        Pkcs11Options { module: Some(_), .. } => ModuleNamedBy::Settings,
        _ if uri.module.path.is_some() || uri.module.name.is_some() => ModuleNamedBy::Reference,
        Pkcs11Options { default_module: Some(_), .. } => ModuleNamedBy::Environment,
        _ => ModuleNamedBy::Nobody,
    }
}

fn is_proxy(module: &Located) -> bool {
    module.path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("p11-kit-proxy"))
}
