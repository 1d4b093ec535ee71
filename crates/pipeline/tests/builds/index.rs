//! A package index on loopback, with a password if it is to have one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use wharf_core::{ArchiveFormat, BuildContext, FileSource};

/// Answers as the simple API of PyPI until the process ends.
pub(crate) struct Index {
    host: String,
}

/// A package: its name, version, and how many bytes of ballast it has.
pub(crate) type Package<'a> = (&'a str, &'a str, usize);

impl Index {
    pub(crate) fn start(packages: &[Package<'_>], login: Option<(&str, &str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (name, version, ballast) in packages {
            let file = format!("{name}-{version}-py3-none-any.whl");
            let link = format!("<a href=\"/files/{file}\">{file}</a>\n");
            let page = files.entry(format!("/simple/{name}/")).or_default();
            page.extend(link.as_bytes());
            files.insert(format!("/files/{file}"), wheel(name, version, *ballast));
        }
        let expected = login.map(|(user, password)| {
            let login = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            format!("Basic {login}")
        });
        let service = Arc::new(Service { files, expected });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let service = Arc::clone(&service);
                // An installer that hangs up is none of our business.
                std::thread::spawn(move || drop(service.answer(&stream)));
            }
        });
        Self { host }
    }

    /// Its URL, with this in front of the host.
    pub(crate) fn url(&self, login: &str) -> String {
        format!("http://{login}{}/simple/", self.host)
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

struct Service {
    files: BTreeMap<String, Vec<u8>>,
    expected: Option<String>,
}

impl Service {
    fn answer(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let mut authorization = None;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("authorization")
            {
                authorization = Some(value.trim().to_owned());
            }
        }
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let is_page = path.ends_with('/');
        let (status, body) = match self.files.get(path) {
            _ if self.expected.is_some() && self.expected != authorization => {
                ("401 Unauthorized", &b"who?"[..])
            }
            None => ("404 Not Found", &b"none"[..]),
            Some(body) => ("200 OK", body.as_slice()),
        };
        let kind = if is_page {
            "text/html"
        } else {
            "application/octet-stream"
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nWWW-Authenticate: Basic realm=\"packages\"\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        if method != "HEAD" {
            stream.write_all(body)?;
        }
        stream.flush()
    }
}

/// The package whose `VERSION` says which it is.
fn wheel(name: &str, version: &str, ballast: usize) -> Vec<u8> {
    let info = format!("{name}-{version}.dist-info");
    let files = [
        (
            format!("{name}/__init__.py"),
            format!("VERSION = \"{version}\"\n").into_bytes(),
        ),
        (format!("{name}/ballast.bin"), noise(ballast)),
        (
            format!("{info}/METADATA"),
            format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n").into_bytes(),
        ),
        (
            format!("{info}/WHEEL"),
            b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_vec(),
        ),
    ];
    let mut record: String = files.iter().map(|(name, _)| format!("{name},,\n")).collect();
    record.push_str(&format!("{info}/RECORD,,\n"));
    let mut context = BuildContext::empty();
    for (name, content) in files
        .into_iter()
        .chain([(format!("{info}/RECORD"), record.into_bytes())])
    {
        context
            .add_file(name, FileSource::Bytes(content.into()), None)
            .unwrap();
    }
    let mut zip = Vec::new();
    context
        .write_archive(ArchiveFormat::Zip, &mut zip, &mut |_| {})
        .unwrap();
    zip
}

/// Bytes that no compression makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}
