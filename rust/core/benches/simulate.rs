//! How fast one core makes reports: the default workload, and with damage.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flurry_core::sim::{Settings, Simulator};
use std::hint::black_box;

const REPORTS: usize = 20_000;

fn simulate(c: &mut Criterion) {
    let mut group = c.benchmark_group("simulate");
    group
        .throughput(Throughput::Elements(REPORTS as u64))
        .sample_size(10);
    for (name, share) in [("ordinary", 0.0), ("one percent damaged", 0.005)] {
        let settings = Settings {
            malformed: share,
            hostile: share,
            ..Settings::default()
        };
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                || Simulator::new(settings.clone()),
                |simulator| match simulator {
                    Ok(simulator) => black_box(simulator.next_batch(REPORTS)).len(),
                    Err(_) => 0,
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
    c.bench_function("simulate/start with 400,000 apps", |b| {
        b.iter(|| Simulator::new(black_box(Settings::default())).is_ok());
    });
}

criterion_group!(benches, simulate);
criterion_main!(benches);
