use crate::oracle::Stamp;

/// A message at a receiver: receiver, origin, number.
pub(super) type Place = (u32, u32, u64);

/// What is done to one message on its way to one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Lose,
    Double,
    /// The second one comes behind later ones.
    DoubleLater,
    /// It comes behind the next one of its origin.
    Swap,
    /// It comes too late; the others do not wait.
    Delay,
    /// It comes to somebody else instead.
    Misroute,
    /// It comes to somebody else too.
    Leak,
}

impl Fault {
    const TO_ALL: [Self; 5] = [Self::Lose, Self::Double, Self::DoubleLater, Self::Swap, Self::Delay];
    const TO_SOME: [Self; 7] =
        [Self::Lose, Self::Double, Self::DoubleLater, Self::Swap, Self::Delay, Self::Misroute, Self::Leak];
}

/// Everything that is wrong with what receivers get, message by message: what was planted, or what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) lost: Vec<Place>,
    pub(super) doubled: Vec<Place>,
    pub(super) out_of_order: Vec<Place>,
    pub(super) foreign: Vec<Place>,
    pub(super) late: Vec<Place>,
}

impl Wrong {
    pub(super) const NAMES: [&str; 5] = ["lost", "doubled", "out of order", "foreign", "late"];

    pub(super) fn kinds(&self) -> [&Vec<Place>; 5] {
        [&self.lost, &self.doubled, &self.out_of_order, &self.foreign, &self.late]
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.lost.append(&mut other.lost);
        self.doubled.append(&mut other.doubled);
        self.out_of_order.append(&mut other.out_of_order);
        self.foreign.append(&mut other.foreign);
        self.late.append(&mut other.late);
    }

    pub(super) fn sort(&mut self) {
        for places in
            [&mut self.lost, &mut self.doubled, &mut self.out_of_order, &mut self.foreign, &mut self.late]
        {
            places.sort_unstable();
        }
    }
}

/// Where faults are, which depends on the seed alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// One of so many messages, each counted for each receiver; 0 for none.
    pub(super) one_in: u64,
    pub(super) connections: u32,
    pub(super) origins: u32,
    /// How many messages each origin sends. The last few are left alone, since a fault takes some that follow.
    pub(super) messages_of_each: u64,
}

/// What becomes of a message that is to be delivered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delivery<T> {
    /// To that receiver, now.
    Now(u32, T),
    /// To that receiver, when it is too late; then [`Faults::comes_late`] is to be told.
    Late(u32, T),
}

/// Puts the faults of a plan in, and writes down which.
#[derive(Debug)]
pub(super) struct Faults<T> {
    plan: Plan,
    /// By receiver and origin.
    links: Vec<Link<T>>,
    pub(super) planted: Wrong,
}

#[derive(Debug)]
struct Link<T> {
    /// One more than the highest number that was delivered.
    next: u64,
    /// No fault before that number.
    quiet_until: u64,
    /// Comes again, or at all, behind that number.
    held: Option<(u64, T)>,
}

impl<T: Clone> Faults<T> {
    /// How many of an origin's messages a fault takes besides its own.
    const REACH: u64 = 4;

    pub(super) fn new(plan: Plan) -> Self {
        let links = (0..plan.connections * plan.origins)
            .map(|_| Link { next: 0, quiet_until: 0, held: None })
            .collect();
        Self { plan, links, planted: Wrong::default() }
    }

    /// Takes a message on its way to a receiver; `stranger` is somebody whom it is not for.
    pub(super) fn pass(
        &mut self,
        receiver: u32,
        stranger: Option<u32>,
        stamp: &Stamp,
        item: T,
        mut deliver: impl FnMut(Delivery<T>),
    ) {
        let (origin, number) = (stamp.origin, stamp.number);
        let Some(index) = self.index(receiver, origin) else {
            return deliver(Delivery::Now(receiver, item));
        };
        let fault = self.fault(index, number, stranger.is_some());
        let link = &mut self.links[index];
        let place = (receiver, origin, number);
        let hold = |link: &mut Link<T>, until: u64, item: &T| link.held = Some((until, item.clone()));
        if fault.is_some() {
            link.quiet_until = number + Self::REACH + 1;
        }
        match (fault, stranger) {
            (Some(Fault::Lose), _) => {
                self.planted.lost.push(place);
                return;
            }
            (Some(Fault::Swap), _) => {
                self.planted.out_of_order.push(place);
                return hold(link, number + 1, &item);
            }
            (Some(Fault::Delay), _) => return deliver(Delivery::Late(receiver, item)),
            (Some(Fault::Misroute), Some(stranger)) => {
                self.planted.lost.push(place);
                self.planted.foreign.push((stranger, origin, number));
                return deliver(Delivery::Now(stranger, item));
            }
            (Some(Fault::Leak), Some(stranger)) => {
                self.planted.foreign.push((stranger, origin, number));
                deliver(Delivery::Now(stranger, item.clone()));
            }
            (Some(Fault::Double), _) => {
                self.planted.doubled.push(place);
                deliver(Delivery::Now(receiver, item.clone()));
            }
            (Some(Fault::DoubleLater), _) => {
                self.planted.doubled.push(place);
                hold(link, number + Self::REACH - 1, &item);
            }
            _ => {}
        }
        link.next = link.next.max(number + 1);
        deliver(Delivery::Now(receiver, item));
        if let Some((_, held)) = link.held.take_if(|(until, _)| *until <= number) {
            deliver(Delivery::Now(receiver, held));
        }
    }

    /// A message that was delayed is delivered now.
    pub(super) fn comes_late(&mut self, receiver: u32, stamp: &Stamp) {
        let place = (receiver, stamp.origin, stamp.number);
        self.planted.late.push(place);
        if self.index(receiver, stamp.origin).is_some_and(|index| self.links[index].next > stamp.number) {
            self.planted.out_of_order.push(place);
        }
    }

    fn index(&self, receiver: u32, origin: u32) -> Option<usize> {
        let is_known = receiver < self.plan.connections && origin < self.plan.origins;
        is_known.then_some((receiver * self.plan.origins + origin) as usize)
    }

    fn fault(&self, index: usize, number: u64, has_stranger: bool) -> Option<Fault> {
        let Plan { seed, one_in, messages_of_each, .. } = self.plan;
        let is_room = number >= self.links[index].quiet_until && number + Self::REACH < messages_of_each;
        if one_in == 0 || !is_room {
            return None;
        }
        let random = mix(seed ^ mix(mix(index as u64) ^ number));
        if !random.is_multiple_of(one_in) {
            return None;
        }
        let kinds: &[Fault] = if has_stranger { &Fault::TO_SOME } else { &Fault::TO_ALL };
        let kind = usize::try_from(mix(random) % kinds.len() as u64).unwrap_or(0);
        Some(kinds[kind])
    }
}

/// Well spread bits from any number: the last step of SplitMix64.
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
