// SPDX-License-Identifier: MIT
// Every name comes from the sources.
