//! The examples in RFC 7515, 7517, 7520, 7797, 8037 and 9964.

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::verify::jwt;
use crate::verify::jwt::jws::Jws;
use crate::verify::jwt::jwt_rules::JwtRules;
use crate::verify::jwt::key_set::KeyLookupError;
use crate::verify::jwt::key_set::KeySet;
use crate::verify::jwt::key_set::KeySetError;

/// RFC 7515 A.2.1, also the key of RFC 7519's examples.
const RSA_7515: &str = r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#;
/// RFC 7515 A.3.1.
const P256_7515: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
/// RFC 7515 A.4.1.
const P521_7515: &str = r#"{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#;
/// RFC 7520 §3.3.
const RSA_7520: &str = r#"{"kty":"RSA","kid":"bilbo.baggins@hobbiton.example","use":"sig","n":"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw","e":"AQAB"}"#;
/// RFC 7520 §3.1.
const P521_7520: &str = r#"{"kty":"EC","kid":"bilbo.baggins@hobbiton.example","use":"sig","crv":"P-521","x":"AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt","y":"AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1"}"#;
/// RFC 8037 A.2.
const ED25519_8037: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// The claims of RFC 7515 A.1 to A.3: `iss` is joe, `exp` is 1300819380, and the third is named by a URL.
const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
/// RFC 7520 figure 8.
const FRODO: &str = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";

/// A signature from an RFC: its section, the key, the header, the payload, the signature.
type Vector = (&'static str, &'static str, &'static str, &'static str, &'static str);

const SIGNED: &[Vector] = &[
    (
        "RFC 7515 A.2, RS256",
        RSA_7515,
        "eyJhbGciOiJSUzI1NiJ9",
        JOE,
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    ),
    (
        "RFC 7515 A.3, ES256",
        P256_7515,
        "eyJhbGciOiJFUzI1NiJ9",
        JOE,
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
    (
        "RFC 7515 A.4, ES512",
        P521_7515,
        "eyJhbGciOiJFUzUxMiJ9",
        "UGF5bG9hZA",
        "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
    ),
    (
        "RFC 7520 §4.1, RS256",
        RSA_7520,
        "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
        FRODO,
        "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg",
    ),
    (
        "RFC 7520 §4.2, PS384",
        RSA_7520,
        "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
        FRODO,
        "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
    ),
    (
        "RFC 7520 §4.3, ES512",
        P521_7520,
        "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
        FRODO,
        "AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2",
    ),
    (
        "RFC 8037 A.4, EdDSA",
        ED25519_8037,
        "eyJhbGciOiJFZERTQSJ9",
        "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ),
];

fn key_set(jwk: &str) -> KeySet {
    KeySet::parse(format!(r#"{{"keys":[{jwk}]}}"#).as_bytes()).expect("a usable key")
}

fn outcome(token: &str, keys: &KeySet) -> Result<(), KeyLookupError> {
    let jws = Jws::parse(token).map_err(|denial| denial.to_string()).expect("a JWS");
    keys.verify(&jws, "joe").map(drop)
}

fn refusal(token: &str, keys: &KeySet) -> Option<Reason> {
    jwt::verify(token, keys, &JwtRules::new("joe")).err().as_ref().and_then(Denial::reason)
}

#[test]
fn every_rfc_example_signature_verifies() {
    for (name, jwk, header, payload, signature) in SIGNED {
        let token = format!("{header}.{payload}.{signature}");
        assert_eq!(outcome(&token, &key_set(jwk)), Ok(()), "{name}");
    }
}

#[test]
fn every_rfc_example_is_refused_after_a_one_character_change() {
    for (name, jwk, header, payload, signature) in SIGNED {
        let keys = key_set(jwk);
        let other = |text: &str| {
            let first = if text.starts_with('A') { "B" } else { "A" };
            format!("{first}{}", &text[1..])
        };
        for token in [
            format!("{header}.{}.{signature}", other(payload)),
            format!("{header}.{payload}.{}", other(signature)),
            // RFC 7520 §4.5: the payload is detached.
            format!("{header}..{signature}"),
            format!("{header}.{payload}."),
        ] {
            assert_eq!(outcome(&token, &keys), Err(KeyLookupError::Signature), "{name}: {token}");
        }
    }
}

#[test]
fn rfc_examples_other_than_asymmetric_compact_jws_are_refused() {
    let keys = key_set(RSA_7515);
    let (_, _, rs256, _, rsa_signature) = SIGNED[0];
    let (_, _, es256, _, ec_signature) = SIGNED[1];
    let general = format!(
        r#"{{"payload":"{JOE}","signatures":[{{"protected":"{rs256}","header":{{"kid":"2010-12-29"}},"signature":"{rsa_signature}"}},{{"protected":"{es256}","header":{{"kid":"e9bc097a-ce51-4036-9562-d2ade882db0d"}},"signature":"{ec_signature}"}}]}}"#
    );
    let flattened = format!(
        r#"{{"payload":"{JOE}","protected":"{es256}","header":{{"kid":"e9bc097a-ce51-4036-9562-d2ade882db0d"}},"signature":"{ec_signature}"}}"#
    );
    let hs256_7520 =
        "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9";
    let rows: &[(&str, String, Reason)] = &[
        (
            "RFC 7515 A.1, HS256",
            format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            Reason::Algorithm,
        ),
        ("RFC 7515 A.5, none", format!("eyJhbGciOiJub25lIn0.{JOE}."), Reason::Algorithm),
        ("RFC 7515 A.6, general JSON", general, Reason::Malformed),
        ("RFC 7515 A.7, flattened JSON", flattened, Reason::Malformed),
        (
            "RFC 7515 E, an unknown critical extension",
            "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9VTkRFRklORUQiOnRydWUNCn0.RkFJTA.".to_owned(),
            Reason::Algorithm,
        ),
        (
            "RFC 7516 A.1, a JWE",
            "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGe.48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6ji.XFBoMYUZodetZdvTiFvSkQ".to_owned(),
            Reason::Encrypted,
        ),
        (
            "RFC 7520 §4.4, HS256",
            format!("{hs256_7520}.{FRODO}.s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0"),
            Reason::Algorithm,
        ),
        (
            "RFC 7520 §4.5, HS256 and detached",
            format!("{hs256_7520}..s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0"),
            Reason::Algorithm,
        ),
        (
            "RFC 7520 §4.6, a header partly unprotected",
            format!(r#"{{"payload":"{FRODO}","signatures":[{{"protected":"eyJhbGciOiJIUzI1NiJ9","header":{{"kid":"018c0ae5-4d9b-471b-bfd6-eef314bc7037"}},"signature":"bWUSVaxorn7bEF1djytBd0kHv70Ly5pvbomzMWSOr20"}}]}}"#),
            Reason::Malformed,
        ),
        (
            "RFC 7797 §4.2, an unencoded payload",
            "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19.$.02.A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY".to_owned(),
            Reason::Malformed,
        ),
        ("RFC 7515 A.2, detached", format!("{rs256}..{rsa_signature}"), Reason::Malformed),
    ];
    for (name, token, reason) in rows {
        assert_eq!(refusal(token, &keys), Some(*reason), "{name}");
    }
}

/// The RSA key of RFC 7517 A.1, without the braces.
const RSA_7517: &str = r#""kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29""#;
const P256_7517: &str = r#""kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1""#;

#[test]
fn only_public_signature_keys_of_the_rfc_7517_examples_are_used() {
    // RFC 7517 A.1: the key on P-256 is for encryption.
    let public = format!(r#"{{"keys":[{{{P256_7517}}},{{{RSA_7517}}}]}}"#);
    assert_eq!(KeySet::parse(public.as_bytes()).map(|keys| keys.len()), Ok(1));
    // RFC 7517 A.2: the same keys with their private parts.
    let private = format!(
        r#"{{"keys":[{{{P256_7517},"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}},{{{RSA_7517},"d":"X4cTteJY_gn4FYPsXB8rdXix5vwsg1FLN5E3EaG6RJoVH-HLLKD9"}}]}}"#
    );
    assert!(matches!(KeySet::parse(private.as_bytes()), Err(KeySetError::NoUsableKey(_))));
    // RFC 7517 A.3: symmetric keys, one of them without `alg`.
    let symmetric = br#"{"keys":[{"kty":"oct","alg":"A128KW","k":"GawgguFyGrWKav7AX4VKUg"},{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow","kid":"HMAC key used in JWS spec Appendix A.1 example"}]}"#;
    assert!(matches!(KeySet::parse(symmetric), Err(KeySetError::NoUsableKey(_))));
}

mod ml_dsa {
    use super::{key_set, outcome};
    use crate::verify::jwt::KeyLookupError;

    /// The key of RFC 9964's ML-DSA-44 example, without its private part.
    const KEY: &str = include_str!("rfc9964_ml_dsa_44.jwk.json");
    /// The token of the same example.
    const TOKEN: &str = include_str!("rfc9964_ml_dsa_44.jws");

    #[test]
    fn the_ml_dsa_44_example_signature_verifies() {
        assert_eq!(outcome(TOKEN.trim(), &key_set(KEY)), Ok(()));
        let changed = TOKEN.trim().replacen(".SXT", ".SXU", 1);
        assert_eq!(outcome(&changed, &key_set(KEY)), Err(KeyLookupError::Signature));
    }
}
