use super::*;
use crate::settings::HostPort;

fn resolved(flags: &[&str]) -> Vec<(String, String, String)> {
    let settings = from_flags(flags).unwrap();
    let shown = |one: &crate::settings::Listener| {
        (one.name.clone(), one.bind.to_string(), one.advertised.to_string())
    };
    settings.listeners.iter().map(shown).collect()
}

fn triple(name: &str, bind: &str, advertised: &str) -> (String, String, String) {
    (name.to_owned(), bind.to_owned(), advertised.to_owned())
}

#[test]
fn without_settings_it_listens_on_loopback() {
    assert_eq!(resolved(&[]), [triple("PLAINTEXT", "localhost:9092", "localhost:9092")]);
    assert_eq!(from_flags(&[]).unwrap().inter_broker_listener, "PLAINTEXT");
}

#[test]
fn listeners_inside_and_outside() {
    let flags = [
        "listeners=internal://10.0.0.1:9092,EXTERNAL://[::]:9093,CONTROLLER://:9094",
        "advertised.listeners=EXTERNAL://kafka.example.com:19093",
        "listener.security.protocol.map=INTERNAL:PLAINTEXT,EXTERNAL:plaintext",
        "controller.listener.names=CONTROLLER",
        "inter.broker.listener.name=external",
    ];
    assert_eq!(
        resolved(&flags),
        [
            triple("INTERNAL", "10.0.0.1:9092", "10.0.0.1:9092"),
            triple("EXTERNAL", "[::]:9093", "kafka.example.com:19093"),
        ]
    );
    assert_eq!(from_flags(&flags).unwrap().inter_broker_listener, "EXTERNAL");
}

#[test]
fn what_is_no_address_is_never_advertised() {
    for listener in ["PLAINTEXT://:9092", "PLAINTEXT://0.0.0.0:9092", "PLAINTEXT://[::]:9092"] {
        let told = complaint(&[&format!("listeners={listener}")]);
        assert!(told.contains("listens on all interfaces, which is no address to connect to"));
        let both = format!("advertised.listeners={listener}");
        assert!(complaint(&[&format!("listeners={listener}"), &both]).contains("no address"));
    }
    let told = complaint(&["advertised.listeners=PLAINTEXT://broker:0"]);
    assert!(told.contains("advertised with port 0"), "{told}");
}

#[test]
fn port_0_takes_a_free_port() {
    let any = "127.0.0.1:0";
    assert_eq!(
        resolved(&[
            "listeners=A://127.0.0.1:0,B://127.0.0.1:0",
            "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT"
        ]),
        [triple("A", any, any), triple("B", any, any)]
    );
}

#[test]
fn wrong_listeners_are_refused_with_a_reason() {
    let cases: &[(&[&str], &str)] = &[
        (&["listeners="], "there is no listener"),
        (&["listeners=localhost:9092"], "'localhost:9092' is not of the form NAME://host:port"),
        (&["listeners=PLAINTEXT://localhost"], "is not of the form"),
        (&["listeners=PLAINTEXT://localhost:99999"], "is not of the form"),
        (&["listeners=PLAINTEXT://localhost:+1"], "is not of the form"),
        (&["listeners=PLAINTEXT://::1:9092"], "is not of the form"),
        (&["listeners=PLAINTEXT://[1.2.3.4]:9092"], "is not of the form"),
        (&["listeners=PLAINTEXT://a/b:9092"], "is not of the form"),
        (&["listeners=PLAINTEXT://a:1,plaintext://b:2"], "two listeners of the name PLAINTEXT"),
        (&["listeners=PLAINTEXT://a:1,SSL://a:1"], "two listeners have the address a:1"),
        (&["listeners=SSL://localhost:9093"], "to speak SSL, which is not supported yet"),
        (&["listeners=SASL_PLAINTEXT://localhost:9093"], "is not supported yet"),
        (&["listeners=CLIENTS://localhost:9093"], "add CLIENTS:PLAINTEXT to"),
        (&["listener.security.protocol.map=PLAINTEXT"], "not of the form NAME:PROTOCOL"),
        (&["listener.security.protocol.map=PLAINTEXT:TLS"], "'TLS' is not a protocol"),
        (&["listener.security.protocol.map=A:SSL,a:SSL"], "two protocols for A"),
        (&["advertised.listeners=OTHER://localhost:1"], "OTHER is not one of listeners"),
        (&["inter.broker.listener.name=OTHER"], "OTHER is not one of listeners"),
        (&["controller.listener.names=PLAINTEXT"], "there is no listener"),
    ];
    for (flags, expected) in cases {
        let told = complaint(flags);
        assert!(told.contains(expected), "{flags:?}: {told}");
        let is_about_default = flags[0].starts_with("controller");
        assert!(told.starts_with("--set: ") || is_about_default, "{told}");
    }
}

#[test]
fn addresses_print_as_they_are_written() {
    let v6 = HostPort { host: "::1".to_owned(), port: 9092 };
    assert_eq!(v6.to_string(), "[::1]:9092");
    assert!(!v6.is_wildcard());
}
