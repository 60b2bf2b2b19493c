//! What `/metrics` shows, parsed.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The labels of a series, each with its value.
type Labels = Vec<(String, String)>;

/// The series by the name of their metric: labels, value. Of a histogram its counts.
pub struct Scrape(BTreeMap<String, Vec<(Labels, f64)>>);

impl Scrape {
    /// Asks the admin server at `address`.
    pub async fn of(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Self::parse(answer.split_once("\r\n\r\n").unwrap().1)
    }

    fn parse(text: &str) -> Self {
        let mut series: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("odradek_")) {
            let (key, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = key.split_once('{').unwrap_or((key, ""));
            if name.ends_with("_bucket") || name.ends_with("_sum") {
                continue;
            }
            let labels = labels.trim_end_matches("\"}").split("\",");
            let labels = labels.filter_map(|label| {
                let (name, value) = label.split_once("=\"")?;
                Some((name.to_owned(), value.to_owned()))
            });
            let name = name.trim_end_matches("_count").to_owned();
            series.entry(name).or_default().push((labels.collect(), value.parse().unwrap()));
        }
        Self(series)
    }

    /// The values of all series of a metric together; `None` if it has no series.
    pub fn sum(&self, name: &str) -> Option<f64> {
        Some(self.0.get(name)?.iter().map(|(_, value)| value).sum())
    }

    /// The labels of each series of a metric.
    pub fn labels(&self, name: &str) -> impl Iterator<Item = Vec<&str>> {
        let series = self.0.get(name).into_iter().flatten();
        series.map(|(labels, _)| labels.iter().map(|(name, _)| name.as_str()).collect())
    }

    /// The value of the series of a metric that has one label of this value.
    pub fn of_label(&self, name: &str, label: &str) -> Option<f64> {
        let mut series = self.0.get(name)?.iter();
        let found = series.find(|(labels, _)| labels.iter().any(|(_, value)| value == label));
        found.map(|(_, value)| *value)
    }
}
