//! The addresses to which SDKs go in containers, in a network where they can be given to somebody.

use super::sdks::sdks;
use super::{LISTING, Scene, Server, ask};
use crate::support::command::{Run, tool};
use crate::support::own_process::in_own_network;
use crate::support::{Environment, text};

const HINT: &str = "hint: sudo ip address add 169.254.170.";

/// Starts with a consumer on both addresses, at the port to which a relative URI leads.
fn serve(scene: &Scene) -> Run {
    let consumer = "[consumer.shop]\nrole = 'ExampleRole'\ntoken-file = 'tokens/shop'\n";
    let configuration = scene.folder.write("config.toml", consumer);
    let addresses = ["--listen", "169.254.170.2:80", "--listen", "169.254.170.23:80"];
    scene.command().args(["--config", text(&configuration)]).args(addresses)
}

#[test]
fn containers_get_credentials_at_the_link_local_addresses_and_nothing_else_there() {
    in_own_network(|| {
        let scene = Scene::new();
        for _ in 0..2 {
            let outcome = serve(&scene).run();
            outcome.fails_with(6);
            // What the hint says is what helps.
            let (_, rest) = outcome.stderr.split_once(HINT).unwrap_or_else(|| panic!("no hint\n{outcome}"));
            tool("ip", format!("address add 169.254.170.{}", rest.trim_end()).split(' '), Environment::new());
        }
        assert_eq!(scene.sessions(), 0, "that was known before a signature");
        let server = Server::start(serve(&scene));
        let token = std::fs::read_to_string(scene.folder.join("tokens/shop")).unwrap();
        for address in ["169.254.170.2:80", "169.254.170.23:80"].map(|address| address.parse().unwrap()) {
            let (status, document) = ask(address, "GET", "/v1/credentials", &[("Authorization", &token)]);
            assert_eq!(status, 200, "{document}");
            assert_eq!(ask(address, "GET", "/v1/credentials", &[]).0, 401);
            let session = ("X-aws-ec2-metadata-token", &*server.token());
            for (method, path) in [("PUT", "/latest/api/token"), ("GET", LISTING)] {
                assert_eq!(ask(address, method, path, &[session]).0, 404, "IMDS on {address}");
            }
        }
        let file = scene.folder.join("tokens/shop");
        for sdk in sdks("containers_get_credentials_at_the_link_local_addresses_and_nothing_else_there") {
            for (name, uri) in [("RELATIVE", "/v1/credentials"), ("FULL", "http://169.254.170.23/v1/credentials")] {
                let uri = (format!("AWS_CONTAINER_CREDENTIALS_{name}_URI"), uri);
                let file = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", text(&file));
                sdk.asks(&scene, &[(&uri.0, uri.1), file, ("AWS_EC2_METADATA_DISABLED", "true")]);
            }
        }
        assert_eq!(scene.sessions(), 1);
        server.end();
    });
}
