// What goes wrong around a server, and what is done to it: peers, operators and monitoring that it must live with. Each
// goes on until the soak ends.

#ifndef SPIKESERVE_TESTS_SOAK_FAULTS_H_
#define SPIKESERVE_TESTS_SOAK_FAULTS_H_

#include "soak/credential_files.h"
#include "soak/soak.h"

namespace spikeserve::soak {

// Peers that send garbage, break off and vanish, where there is TLS and where there is none.
void BreakRules(Soak& soak);

// Peers that take nothing of large answers, or a little, and go.
void TakeNoAnswers(Soak& soak);

// Processes that are killed in the middle of calls of all kinds. They leave networks behind.
void KillClients(Soak& soak);

// Certificates and tokens that are replaced, and must be in force within half a minute.
void ReplaceCredentials(Soak& soak, CredentialFiles& files);

// Prometheus, in a hurry: what it is told must be well.
void Scrape(Soak& soak);

}  // namespace spikeserve::soak

#endif  // SPIKESERVE_TESTS_SOAK_FAULTS_H_
