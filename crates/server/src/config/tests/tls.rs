//! Addresses with https and their certificate.

use hubline_testkit::Certificates;

use super::*;

fn with_certificate(setup: Setup, certificates: &Certificates) -> Setup {
    setup
        .variable("Kestrel__Certificates__Default__Path", certificates.certificate().to_str().unwrap())
        .variable("Kestrel__Certificates__Default__KeyPath", certificates.key().to_str().unwrap())
}

#[test]
fn addresses_may_be_of_http_and_https() {
    let certificates = Certificates::new(&["localhost"]).unwrap();
    for (variables, expected) in [
        (&[("ASPNETCORE_URLS", "http://+:80;https://+")][..], "http://*:80 https://*:443"),
        (&[("ASPNETCORE_HTTPS_PORTS", "5001;5002")], "https://*:5001 https://*:5002"),
        (&[("ASPNETCORE_HTTP_PORTS", "80"), ("ASPNETCORE_HTTPS_PORTS", "443")], "http://*:80 https://*:443"),
    ] {
        let setup = variables.iter().fold(Setup::new(), |setup, (name, value)| setup.variable(name, value));
        let loaded = with_certificate(setup, &certificates).loaded();
        assert_eq!((urls(&loaded.config), loaded.config.server.tls.is_some()), (expected.to_owned(), true));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    }
    let ports =
        Setup::new().variable("ASPNETCORE_URLS", "http://+:1").variable("ASPNETCORE_HTTPS_PORTS", "443");
    assert!(ports.warnings().contains("https_ports"), "Urls go before it, as in .NET");
}

#[test]
fn files_may_be_relative_to_the_content_root() {
    let certificates = Certificates::new(&["localhost"]).unwrap();
    let setup = Setup::new()
        .file("site.pem", &fs::read_to_string(certificates.certificate()).unwrap())
        .file("site.key", &fs::read_to_string(certificates.key()).unwrap())
        .file(
            "appsettings.json",
            r#"{"Kestrel": {"Certificates": {"Default": {"Path": "site.pem", "KeyPath": "site.key"}}}}"#,
        )
        .args(|args| args.urls = Some("https://localhost:5001".to_owned()));
    assert!(setup.config().server.tls.is_some());
}

#[test]
fn every_mistake_names_file_setting_and_cure() {
    let certificates = Certificates::new(&["localhost"]).unwrap();
    let https = || Setup::new().variable("ASPNETCORE_URLS", "http://+:80;https://+:443");
    let path = |path: &str| https().variable("Kestrel__Certificates__Default__Path", path);
    let pem = |name: &str| fs::read_to_string(certificates.certificate().with_file_name(name)).unwrap();
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (setup, said) in [
        (
            https(),
            &["Urls = 'https://*:443'", "Kestrel__Certificates__Default__Path", "mkcert", "openssl req"][..],
        ),
        (https().variable("Management__Urls", "https://localhost:1"), &["2 mistakes", "Management:Urls"]),
        (
            https().variable("Kestrel__Certificates__Default__KeyPath", "key.pem"),
            &["Default:KeyPath = 'key.pem'", "set Kestrel__Certificates__Default__Path"],
        ),
        (path("absent.pem"), &["Default:Path = 'absent.pem'", "absent.pem cannot be read: "]),
        (
            path("alone.pem").file("alone.pem", &pem("certificate.pem")),
            &["has no private key", "set Kestrel__Certificates__Default__KeyPath"],
        ),
        (
            path("c.pem")
                .file("c.pem", &pem("certificate.pem"))
                .file("k.pem", &pem("authority.pem"))
                .variable("Kestrel__Certificates__Default__KeyPath", "k.pem"),
            &["Default:KeyPath = 'k.pem'", "k.pem has no private key, expected PEM"],
        ),
        (
            path("c.pem")
                .file("c.pem", &pem("certificate.pem"))
                .file("k.pem", locked)
                .variable("Kestrel__Certificates__Default__KeyPath", "k.pem"),
            &["k.pem is encrypted", "set Kestrel__Certificates__Default__Password"],
        ),
    ] {
        let errors = setup.errors();
        for said in said {
            assert!(errors.contains(said), "{said}: {errors}");
        }
    }
    let password = with_certificate(https(), &certificates)
        .variable("Kestrel__Certificates__Default__Password", "s3cret")
        .loaded();
    assert!(!password.describe().contains("s3cret"), "{}", password.describe());
}
