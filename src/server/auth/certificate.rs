//! The names in a client certificate.

use x509_parser::prelude::{
    AttributeTypeAndValue, FromDer, GeneralName, RelativeDistinguishedName, X509Certificate,
    X509Name,
};

use crate::hba::CertName;

/// The names in a certificate of the kind that a rule asks for. None where it cannot be read.
pub(super) fn names(certificate: &[u8], kind: CertName) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return vec![];
    };
    let names: Vec<String> = match kind {
        CertName::CommonName => {
            // Where there are several nobody can say which one the authority looked at.
            let mut names = certificate.subject().iter_common_name();
            match (names.next(), names.next()) {
                (Some(name), None) => text(name).map(str::to_owned).into_iter().collect(),
                (Some(_), Some(_)) | (None, _) => vec![],
            }
        }
        CertName::DistinguishedName => distinguished(certificate.subject()).into_iter().collect(),
        CertName::AlternativeName => alternative(&certificate),
    };
    // A zero byte would end the name for whoever reads it as a C string.
    let is_whole = |name: &String| !name.is_empty() && !name.contains('\0');
    names.into_iter().filter(is_whole).collect()
}

fn alternative(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return vec![];
    };
    let names = names.value.general_names.iter();
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        GeneralName::OtherName(..)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::IPAddress(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    };
    names.filter_map(text).collect()
}

/// The text of an attribute, unless it is in an encoding of which no text is made here.
fn text<'a>(attribute: &AttributeTypeAndValue<'a>) -> Option<&'a str> {
    attribute.as_str().ok()
}

/// As RFC 2253 writes a name: the last part first. None where a part of it has no text: without
/// that part it would be another name.
fn distinguished(name: &X509Name<'_>) -> Option<String> {
    let relative = |part: &RelativeDistinguishedName<'_>| {
        let values = part.iter().map(|attribute| {
            let oid = attribute.attr_type().to_id_string();
            let value = escaped(text(attribute)?);
            Some(format!("{}={value}", short_name(&oid)))
        });
        Some(values.collect::<Option<Vec<_>>>()?.join("+"))
    };
    let mut parts = name.iter().map(relative).collect::<Option<Vec<String>>>()?;
    parts.reverse();
    Some(parts.join(","))
}

fn short_name(oid: &str) -> &str {
    match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.42" => "GN",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        other => other,
    }
}

fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::new();
    for (at, c) in value.chars().enumerate() {
        let is_special = matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (c == '#' && at == 0)
            || (c == ' ' && (at == 0 || at == last));
        if is_special {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn names_of_a_certificate_are_read_by_their_kind() {
        let mut params = CertificateParams::new(vec!["ann.example.com".to_owned()]).unwrap();
        let mail = SanType::Rfc822Name("ann@example.com".try_into().unwrap());
        params.subject_alt_names.push(mail);
        let name = &mut params.distinguished_name;
        *name = rcgen::DistinguishedName::new();
        name.push(DnType::OrganizationName, "Spools, Inc.");
        name.push(DnType::CommonName, "ann");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        for (kind, wanted) in [
            (CertName::CommonName, &["ann"][..]),
            (CertName::DistinguishedName, &["CN=ann,O=Spools\\, Inc."]),
            (
                CertName::AlternativeName,
                &["ann.example.com", "ann@example.com"],
            ),
        ] {
            assert_eq!(names(certificate.der(), kind), wanted, "{kind:?}");
        }
        assert_eq!(names(b"nonsense", CertName::CommonName), [""; 0]);
    }

    /// The DER of a certificate of this subject.
    fn with_subject(parts: &[(DnType, rcgen::DnValue)]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        let name = &mut params.distinguished_name;
        *name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            name.push(kind.clone(), value.clone());
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        certificate.der().to_vec()
    }

    #[test]
    fn a_certificate_of_two_common_names_has_none() {
        // The same length, so that one can be turned into the other kind in the finished bytes.
        let subject = [
            (DnType::OrganizationName, "mallory".into()),
            (DnType::CommonName, "pgspool".into()),
        ];
        let mut der = with_subject(&subject);
        assert_eq!(names(&der, CertName::CommonName), ["pgspool"]);
        let organization = [0x06, 0x03, 0x55, 0x04, 0x0A];
        while let Some(at) = memchr::memmem::find(&der, &organization) {
            der[at + 4] = 0x03;
        }
        let both = "CN=pgspool,CN=mallory";
        assert_eq!(names(&der, CertName::DistinguishedName), [both]);
        assert_eq!(names(&der, CertName::CommonName), [""; 0]);
    }

    #[test]
    fn a_name_with_a_part_that_is_no_text_is_none() {
        let wide = rcgen::string::BmpString::try_from("mallory").unwrap();
        let subject = [
            (DnType::OrganizationName, rcgen::DnValue::BmpString(wide)),
            (DnType::CommonName, "ann".into()),
        ];
        let der = with_subject(&subject);
        assert_eq!(names(&der, CertName::DistinguishedName), [""; 0]);
        assert_eq!(names(&der, CertName::CommonName), ["ann"]);
    }
}
