//! The process as the kernel sees it, under the names that all of Prometheus's own libraries give.

use std::fmt;

use procfs::ProcResult;
use procfs::process::{LimitValue, Process};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

#[derive(Debug)]
pub(super) struct ProcessCollector {
    /// Seconds from the Unix epoch to the boot, which `/proc` counts from.
    booted: Option<u64>,
}

struct Figures {
    cpu_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: u64,
    /// Since the boot.
    started_seconds: f64,
    open_files: u64,
    /// `None` if there is no limit.
    maximum_files: Option<u64>,
}

impl ProcessCollector {
    pub(super) fn new() -> Self {
        Self { booted: procfs::boot_time_secs().ok() }
    }
}

impl Figures {
    fn read() -> ProcResult<Self> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
        Ok(Self {
            cpu_seconds: seconds(stat.utime + stat.stime),
            resident_bytes: stat.rss * procfs::page_size(),
            virtual_bytes: stat.vsize,
            threads: stat.num_threads.unsigned_abs(),
            started_seconds: seconds(stat.starttime),
            open_files: process.fd_count()? as u64,
            maximum_files: match process.limits()?.max_open_files.soft_limit {
                LimitValue::Value(files) => Some(files),
                LimitValue::Unlimited => None,
            },
        })
    }
}

impl Collector for ProcessCollector {
    /// Writes nothing where `/proc` cannot be read.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Ok(figures) = Figures::read() else { return Ok(()) };
        let cpu = "Processor time in user and system mode.";
        let cpu = encoder.encode_descriptor("process_cpu", cpu, Some(&Unit::Seconds), MetricType::Counter)?;
        ConstCounter::new(figures.cpu_seconds).encode(cpu)?;
        let bytes = Some(&Unit::Bytes);
        let gauges = [
            ("process_resident_memory", bytes, "Resident memory.", Some(figures.resident_bytes)),
            ("process_virtual_memory", bytes, "Virtual memory.", Some(figures.virtual_bytes)),
            ("process_threads", None, "Threads.", Some(figures.threads)),
            ("process_open_fds", None, "Open file descriptors.", Some(figures.open_files)),
            ("process_max_fds", None, "File descriptors that may be open.", figures.maximum_files),
        ];
        for (name, unit, help, value) in gauges {
            let Some(value) = value else { continue };
            ConstGauge::new(value).encode(encoder.encode_descriptor(
                name,
                help,
                unit,
                MetricType::Gauge,
            )?)?;
        }
        let Some(booted) = self.booted else { return Ok(()) };
        let started = "When the process was started, since the Unix epoch.";
        let started = encoder.encode_descriptor(
            "process_start_time",
            started,
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        ConstGauge::new(booted as f64 + figures.started_seconds).encode(started)
    }
}
