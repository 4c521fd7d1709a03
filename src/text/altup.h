// AltUp: several residual streams, of which one is active. Predict before the layer's work, correct after it (text.md
// 6). HF: Gemma3nTextAltUp. Coefficients are always f32.
#pragma once
#include "core/context.h"
#include "text/text_config.h"
#include "weights/binder.h"

namespace g3n {

struct AltUp {
  WeightView modality_router;                 // [streams, hidden]
  WeightView prediction_coefs;                // [streams*streams, streams]
  WeightView correction_coefs;                // [streams, streams]
  View<const float, 1> router_norm;           // [hidden]
  View<const float, 1> correct_output_scale;  // [hidden]

  void bind(Binder& bind, const TextConfig& config);
  void predict(Context& ctx, View<const float, 3> h,
               View<float, 3> out) const;  // [streams, tokens, hidden]; out may alias h
  // streams: predictions in, corrected streams out.
  void correct(Context& ctx, View<const float, 2> activated, View<float, 3> streams) const;

 private:
  void route(Context& ctx, View<const float, 2> x, View<float, 2> out) const;  // [tokens, hidden] -> [tokens, streams]

  int64_t active_ = 0;
  float eps_ = 0;
};

}  // namespace g3n
