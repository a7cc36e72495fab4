// SPDX-License-Identifier: GPL-2.0
#include "health.h"

atomic64_t meter_health[METER_HEALTH_COUNT];
