// Callers that want answers, and hold each of them against what the library computes in this process. Each goes on
// until the soak ends.

#ifndef SPIKESERVE_TESTS_SOAK_CALLERS_H_
#define SPIKESERVE_TESTS_SOAK_CALLERS_H_

#include <cstdint>

#include "soak/soak.h"

namespace spikeserve::soak {

// Functions with results of all sizes.
void CallFunctions(Soak& soak, uint32_t seed);
// The same in pieces.
void CallInPieces(Soak& soak);
// Trains networks beside the same ones in this process.
void Train(Soak& soak, uint32_t seed);
// An integrator that counts its steps, by calls and by a stream: one that is lost or carried out twice shows.
void Step(Soak& soak);
// Each call on a connection of its own.
void Reconnect(Soak& soak);
// Do not wait for the answer.
void GiveUp(Soak& soak);

}  // namespace spikeserve::soak

#endif  // SPIKESERVE_TESTS_SOAK_CALLERS_H_
