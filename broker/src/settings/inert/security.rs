//! Encryption, authentication and authorization.

use super::inert;
use crate::settings::kind::Allowed::{Any, AtLeast, Between, OneOf, OneOfAnyCase};

inert! {
    pub(super) const TLS: "TLS is not served yet." {
        "ssl.allow.dn.changes" = Boolean(Some("false")), Any, ReadOnly;
        "ssl.allow.san.changes" = Boolean(Some("false")), Any, ReadOnly;
        "ssl.cipher.suites" = List(Some("")), Any, ReadOnly;
        "ssl.client.auth" = String(Some("none")), OneOf(&["required", "requested", "none"]), ReadOnly;
        "ssl.enabled.protocols" = List(Some("TLSv1.2,TLSv1.3")), Any, ReadOnly;
        "ssl.endpoint.identification.algorithm" = String(Some("https")), Any, ReadOnly;
        "ssl.engine.factory.class" = Class(None), Any, ReadOnly;
        "ssl.key.password" = Password(None), Any, ReadOnly;
        "ssl.keymanager.algorithm" = String(Some("SunX509")), Any, ReadOnly;
        "ssl.keystore.certificate.chain" = Password(None), Any, ReadOnly;
        "ssl.keystore.key" = Password(None), Any, ReadOnly;
        "ssl.keystore.location" = String(None), Any, ReadOnly;
        "ssl.keystore.password" = Password(None), Any, ReadOnly;
        "ssl.keystore.type" = String(Some("JKS")), Any, ReadOnly;
        "ssl.principal.mapping.rules" = String(Some("DEFAULT")), Any, ReadOnly;
        "ssl.protocol" = String(Some("TLSv1.3")), Any, ReadOnly;
        "ssl.provider" = String(None), Any, ReadOnly;
        "ssl.secure.random.implementation" = String(None), Any, ReadOnly;
        "ssl.trustmanager.algorithm" = String(Some("PKIX")), Any, ReadOnly;
        "ssl.truststore.certificates" = Password(None), Any, ReadOnly;
        "ssl.truststore.location" = String(None), Any, ReadOnly;
        "ssl.truststore.password" = Password(None), Any, ReadOnly;
        "ssl.truststore.type" = String(Some("JKS")), Any, ReadOnly;
    }
}

inert! {
    pub(super) const SASL: "SASL is not served yet." {
        "sasl.client.callback.handler.class" = Class(None), Any, ReadOnly;
        "sasl.enabled.mechanisms" = List(Some("GSSAPI")), Any, ReadOnly;
        "sasl.jaas.config" = Password(None), Any, ReadOnly;
        "sasl.kerberos.kinit.cmd" = String(Some("/usr/bin/kinit")), Any, ReadOnly;
        "sasl.kerberos.min.time.before.relogin" = Long(Some("60000")), Any, ReadOnly;
        "sasl.kerberos.principal.to.local.rules" = List(Some("DEFAULT")), Any, ReadOnly;
        "sasl.kerberos.service.name" = String(None), Any, ReadOnly;
        "sasl.kerberos.ticket.renew.jitter" = Double(Some("0.05")), Any, ReadOnly;
        "sasl.kerberos.ticket.renew.window.factor" = Double(Some("0.8")), Any, ReadOnly;
        "sasl.login.callback.handler.class" = Class(None), Any, ReadOnly;
        "sasl.login.class" = Class(None), Any, ReadOnly;
        "sasl.login.connect.timeout.ms" = Int(None), Any, ReadOnly;
        "sasl.login.read.timeout.ms" = Int(None), Any, ReadOnly;
        "sasl.login.refresh.buffer.seconds" = Short(Some("300")), Any, ReadOnly;
        "sasl.login.refresh.min.period.seconds" = Short(Some("60")), Any, ReadOnly;
        "sasl.login.refresh.window.factor" = Double(Some("0.8")), Any, ReadOnly;
        "sasl.login.refresh.window.jitter" = Double(Some("0.05")), Any, ReadOnly;
        "sasl.login.retry.backoff.max.ms" = Long(Some("10000")), Any, ReadOnly;
        "sasl.login.retry.backoff.ms" = Long(Some("100")), Any, ReadOnly;
        "sasl.mechanism.controller.protocol" = String(Some("GSSAPI")), Any, ReadOnly;
        "sasl.mechanism.inter.broker.protocol" = String(Some("GSSAPI")), Any, ReadOnly;
        "sasl.oauthbearer.assertion.algorithm" = String(Some("RS256")), OneOfAnyCase(&["ES256", "RS256"]), ReadOnly;
        "sasl.oauthbearer.assertion.claim.aud" = String(None), Any, ReadOnly;
        "sasl.oauthbearer.assertion.claim.exp.seconds" = Int(Some("300")), Between(0, 86_400), ReadOnly;
        "sasl.oauthbearer.assertion.claim.iss" = String(None), Any, ReadOnly;
        "sasl.oauthbearer.assertion.claim.jti.include" = Boolean(Some("false")), Any, ReadOnly;
        "sasl.oauthbearer.assertion.claim.nbf.seconds" = Int(Some("60")), Between(0, 3600), ReadOnly;
        "sasl.oauthbearer.assertion.claim.sub" = String(None), Any, ReadOnly;
        "sasl.oauthbearer.assertion.file" = String(None), Any, ReadOnly;
        "sasl.oauthbearer.assertion.private.key.file" = String(None), Any, ReadOnly;
        "sasl.oauthbearer.assertion.private.key.passphrase" = Password(None), Any, ReadOnly;
        "sasl.oauthbearer.assertion.template.file" = String(None), Any, ReadOnly;
        "sasl.oauthbearer.client.credentials.client.id" = String(None), Any, ReadOnly;
        "sasl.oauthbearer.client.credentials.client.secret" = Password(None), Any, ReadOnly;
        "sasl.oauthbearer.clock.skew.seconds" = Int(Some("30")), Any, ReadOnly;
        "sasl.oauthbearer.expected.audience" = List(None), Any, ReadOnly;
        "sasl.oauthbearer.expected.issuer" = String(None), Any, ReadOnly;
        "sasl.oauthbearer.jwks.endpoint.refresh.ms" = Long(Some("3600000")), Any, ReadOnly;
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" = Long(Some("10000")), Any, ReadOnly;
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" = Long(Some("100")), Any, ReadOnly;
        "sasl.oauthbearer.jwks.endpoint.url" = String(None), Any, ReadOnly;
        "sasl.oauthbearer.jwt.retriever.class" = Class(Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever")), Any, ReadOnly;
        "sasl.oauthbearer.jwt.validator.class" = Class(Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator")), Any, ReadOnly;
        "sasl.oauthbearer.scope" = String(None), Any, ReadOnly;
        "sasl.oauthbearer.scope.claim.name" = String(Some("scope")), Any, ReadOnly;
        "sasl.oauthbearer.sub.claim.name" = String(Some("sub")), Any, ReadOnly;
        "sasl.oauthbearer.token.endpoint.url" = String(None), Any, ReadOnly;
        "sasl.server.callback.handler.class" = Class(None), Any, ReadOnly;
        "sasl.server.max.receive.size" = Int(Some("524288")), Any, ReadOnly;
    }
}

inert! {
    pub(super) const AUTHORIZATION: "Authorization and its tokens are not served yet." {
        "authorizer.class.name" = String(Some("")), Any, ReadOnly;
        "connection.failed.authentication.delay.ms" = Int(Some("100")), AtLeast(0), ReadOnly;
        "connections.max.reauth.ms" = Long(Some("0")), Any, ReadOnly;
        "delegation.token.expiry.check.interval.ms" = Long(Some("3600000")), AtLeast(1), ReadOnly;
        "delegation.token.expiry.time.ms" = Long(Some("86400000")), AtLeast(1), ReadOnly;
        "delegation.token.max.lifetime.ms" = Long(Some("604800000")), AtLeast(1), ReadOnly;
        "delegation.token.secret.key" = Password(None), Any, ReadOnly;
        "principal.builder.class" = Class(Some("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder")), Any, ReadOnly;
        "security.inter.broker.protocol" = String(Some("PLAINTEXT")), OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), ReadOnly;
        "security.providers" = String(None), Any, ReadOnly;
    }
}
