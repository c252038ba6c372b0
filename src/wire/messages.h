/* Every generated message at once. One group alone is wire/gen/<group>.h. */
#pragma once

#include "wire/gen/cluster.h"
#include "wire/gen/group.h"
#include "wire/gen/group_next.h"
#include "wire/gen/record.h"
#include "wire/gen/security.h"
#include "wire/gen/session.h"
#include "wire/gen/share.h"
#include "wire/gen/stored.h"
#include "wire/gen/telemetry.h"
#include "wire/gen/topic.h"
#include "wire/gen/txn.h"
