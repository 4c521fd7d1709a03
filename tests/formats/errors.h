// Where the tests of weights look for it.
#pragma once
#include "support/errors.h"
