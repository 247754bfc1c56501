//! What the operator's board and alert rules name is what the server tells.

use std::collections::BTreeSet;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::Space;
use operator::{Config, Operator};

const BOARD: &str = include_str!("../../../../docs/monitoring/grafana.json");
const ALERTS: &str = include_str!("../../../../docs/monitoring/alerts.yml");

/// The words of a text that are names of metrics.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics = words.filter(|word| word.starts_with("vaguemestre_") || word.starts_with("process_"));
    metrics.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_of_the_board_and_the_alerts_exists() {
    let space = Space::new().await;
    let folder = space.folder_of("alpha");
    let text = format!("{}[monitoring]\nlisten = \"127.0.0.1:0\"\n", space.configuration("alpha"));
    let config = Config::parse(&text, &folder.join("vaguemestre.toml"), &folder).expect("a good configuration");
    let alpha = Operator::start(config, space.clock.shared()).await.expect("it starts");
    let mut stream = TcpStream::connect(alpha.addresses.monitoring.expect("asked for")).await.expect("listening");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.expect("written");
    let mut page = String::new();
    stream.read_to_string(&mut page).await.expect("an answer");
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let known: BTreeSet<&str> = types.filter_map(|line| line.split(' ').next()).collect();
    assert!(known.len() > 30, "{known:?}");
    for text in [BOARD, ALERTS] {
        let named = named(text);
        assert!(named.len() > 10, "{named:?}");
        for metric in named {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end));
            let there = known.contains(metric.as_str()) || family.is_some_and(|family| known.contains(family));
            assert!(there, "{metric} is not told");
        }
    }
    alpha.stop().await;
}
