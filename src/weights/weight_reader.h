// WeightReader: the Binder that fills a model's members: a Loader (packs tensors of a checkpoint) or a BundleLoader
// (points into a bundle).
//   model.bind(reader);
//   WeightStore store = reader.finish();
#pragma once
#include "weights/binder.h"
#include "weights/weight_store.h"

namespace g3n {

class WeightReader : public Binder {
 public:
  struct Bytes {
    int64_t packed = 0;  // memory that finish() fills
    int64_t mapped = 0;  // read from the file when needed
  };
  // What the bound tensors take, known before finish().
  virtual Bytes bytes() const = 0;
  // After bind. Error{kBadFile} lists every missing, misshapen and wrongly typed tensor (the first 20 and a count);
  // surplus tensors are one warning.
  virtual void check() const = 0;
  // check(), then fills everything. Once. After an Error the members' views are dangling: the model is to be thrown
  // away.
  virtual WeightStore finish() = 0;
};

}  // namespace g3n
