// A visitor of a std::variant made of one lambda for each alternative.

#ifndef SPIKESERVE_SERVER_CODEC_OVERLOADED_H_
#define SPIKESERVE_SERVER_CODEC_OVERLOADED_H_

namespace spikeserve::codec {

template <typename... Fns>
struct Overloaded : Fns... {
  using Fns::operator()...;
};
template <typename... Fns>
Overloaded(Fns...) -> Overloaded<Fns...>;

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_OVERLOADED_H_
