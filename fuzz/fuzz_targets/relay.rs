#![no_main]

use std::sync::{Arc, LazyLock};

use hubline_backplane::{Address, Fleet, MemoryFleet, memory_fleet};
use hubline_transport::Connections;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

/// Two instances: what the fuzzer says goes to the second as from the first.
struct Network {
    runtime: Runtime,
    members: Vec<Arc<MemoryFleet>>,
    _second: Connections,
}

static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let members = memory_fleet(2);
    let second = {
        let _in_runtime = runtime.enter();
        Connections::in_fleet(Arc::clone(&members[1]) as _, Vec::new())
    };
    Network { runtime, members, _second: second }
});

fuzz_target!(|message: &[u8]| {
    let Network { runtime, members, .. } = &*NETWORK;
    runtime.block_on(async {
        let second = Address::Instance(members[1].instance());
        assert_eq!(members[0].send(&second, message.to_vec()).await, Ok(1));
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    });
});
