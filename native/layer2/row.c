/* SPDX-License-Identifier: MIT */
/* Layer 2: Ethernet frames. */
#include "base/wire.h"
#include "layer2/forward.h"
#include "layer2/inward.h"
#include "layer2/outward.h"
#include "layer2/spread.h"
#include "path/layer.h"

const struct layer layer2 = {
    .more = LAYER2_MORE,
    .validate = outward_validate,
    .route = outward_route,
    .cut = outward_cut,
    .seal = outward_seal,
    .admit = inward_admit,
    .open = inward_open,
    .authentic = inward_authentic,
    .hear = inward_hear,
    .join = inward_join,
    .check = inward_check,
    .forward = forward_all,
    .spread = spread_turn,
};
