// Sound by FFmpeg, from memory: demux, decode, average the channels. Damage that FFmpeg would conceal is an error.
// A file can open nothing else: no protocol, no second file, only the container that was recognised.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <vector>

#include "g3n/error.h"
#include "media/audio_decoders.h"
#include "media/ffmpeg_support.h"

namespace g3n::media {
namespace {

constexpr int kIoBufferBytes = 32 * 1024;

// The file as FFmpeg reads it.
class MemoryInput {
 public:
  explicit MemoryInput(Bytes file) : file_(file) {
    auto* buffer = static_cast<unsigned char*>(av_malloc(kIoBufferBytes));
    if (buffer)
      io_ =
          ffmpeg().avio_alloc_context(buffer, kIoBufferBytes, 0, this, &MemoryInput::read, nullptr, &MemoryInput::seek);
    if (!io_) {
      av_free(buffer);
      throw std::bad_alloc();
    }
  }
  ~MemoryInput() {
    av_freep(&io_->buffer);
    ffmpeg().avio_context_free(&io_);
  }
  MemoryInput(const MemoryInput&) = delete;
  MemoryInput& operator=(const MemoryInput&) = delete;

  AVIOContext* io() { return io_; }

 private:
  static int read(void* self_pointer, std::uint8_t* out, int count) {
    auto* self = static_cast<MemoryInput*>(self_pointer);
    const std::size_t left = self->file_.size() - self->at_;
    const std::size_t taken = std::min<std::size_t>(left, static_cast<std::size_t>(count));
    if (taken == 0) return AVERROR_EOF;
    std::memcpy(out, self->file_.data() + self->at_, taken);
    self->at_ += taken;
    return static_cast<int>(taken);
  }
  static std::int64_t seek(void* self_pointer, std::int64_t offset, int whence) {
    auto* self = static_cast<MemoryInput*>(self_pointer);
    const auto size = static_cast<std::int64_t>(self->file_.size());
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE) return size;
    const std::int64_t base = whence == SEEK_CUR ? static_cast<std::int64_t>(self->at_) : whence == SEEK_END ? size : 0;
    if (offset < -base || offset > size - base) return AVERROR(EINVAL);
    self->at_ = static_cast<std::size_t>(base + offset);
    return base + offset;
  }

  Bytes file_;
  std::size_t at_ = 0;
  AVIOContext* io_ = nullptr;
};

int refuse_to_open(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) { return AVERROR(EACCES); }

// MPEG streams may begin with anything; nothing else is guessed.
const AVInputFormat* guess_demuxer(Bytes file) {
  std::vector<std::uint8_t> head(
      file.begin(), file.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(file.size(), 1 << 16)));
  const int size = static_cast<int>(head.size());
  head.resize(head.size() + AVPROBE_PADDING_SIZE);
  AVProbeData probe{"", head.data(), size, nullptr};
  int score = AVPROBE_SCORE_RETRY - 1;
  const AVInputFormat* found = ffmpeg().av_probe_input_format2(&probe, 1, &score);
  if (!found) return nullptr;
  for (const char* name : {"mp3", "aac", "mpeg", "mpegts"}) {
    if (std::strcmp(found->name, name) == 0) return found;
  }
  return nullptr;
}

double read_sample(const std::uint8_t* at, AVSampleFormat packed_format) {
  const auto load = [at](auto value) {
    std::memcpy(&value, at, sizeof value);
    return static_cast<double>(value);
  };
  switch (packed_format) {
    case AV_SAMPLE_FMT_U8: return (*at - 128.0) / 128.0;
    case AV_SAMPLE_FMT_S16: return load(std::int16_t{}) / 32768.0;
    case AV_SAMPLE_FMT_S32: return load(std::int32_t{}) / 2147483648.0;
    case AV_SAMPLE_FMT_S64: return load(std::int64_t{}) / 9223372036854775808.0;
    case AV_SAMPLE_FMT_FLT: return load(float{});
    default: return load(double{});
  }
}

class SoundReader {
 public:
  SoundReader(Bytes file, bool is_cut, const std::string& name, SampleCollector* out)
      : name_(name), input_(file), is_cut_(is_cut), out_(out) {}
  SoundReader(const SoundReader&) = delete;
  SoundReader& operator=(const SoundReader&) = delete;
  ~SoundReader() { ffmpeg().avformat_close_input(&format_); }

  void open(const AVInputFormat* demuxer) {
    format_ = ffmpeg().avformat_alloc_context();
    if (!format_) throw std::bad_alloc();
    format_->pb = input_.io();
    format_->flags |= AVFMT_FLAG_CUSTOM_IO;
    format_->io_open = refuse_to_open;
    format_->interrupt_callback = {[](void* out) -> int { return static_cast<SampleCollector*>(out)->is_late(); },
                                   out_};
    require(ffmpeg().avformat_open_input(&format_, nullptr, demuxer, nullptr));  // frees format_ when it fails
    require(ffmpeg().avformat_find_stream_info(format_, nullptr));
    const AVCodec* codec = nullptr;
    const int index = ffmpeg().av_find_best_stream(format_, AVMEDIA_TYPE_AUDIO, -1, -1, &codec, 0);
    if (index < 0 || !codec) throw_no_sound();
    for (unsigned i = 0; i < format_->nb_streams; ++i)
      format_->streams[i]->discard = static_cast<int>(i) == index ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    stream_ = format_->streams[index];
    open_decoder(codec);
    if (format_->duration_estimation_method == AVFMT_DURATION_FROM_BITRATE || stream_->duration <= 0) return;
    const double seconds = static_cast<double>(stream_->duration) * av_q2d(stream_->time_base);
    out_->expect_seconds(seconds);
    declared_ = std::llround(seconds * stream_->codecpar->sample_rate);
    if (is("ogg") && codec->id == AV_CODEC_ID_VORBIS)
      out_->stop_at(declared_);  // the last page says where inside its last frame the sound ends
  }

  void read_all() {
    const PacketPtr packet(ffmpeg().av_packet_alloc());
    frame_.reset(av_frame_alloc());
    if (!packet || !frame_) throw std::bad_alloc();
    int status = 0;
    while ((status = ffmpeg().av_read_frame(format_, packet.get())) >= 0) {
      out_->check_time();
      if (packet->stream_index == stream_->index) {
        if ((packet->flags & AV_PKT_FLAG_CORRUPT) && !is_cut_) throw_bad_sound(name_, "damaged data" + position());
        decode(packet.get());
      }
      ffmpeg().av_packet_unref(packet.get());
    }
    out_->check_time();
    if (status != AVERROR_EOF) throw_bad_sound(name_, ffmpeg_message(status) + position());
    decode(nullptr);
    check_length();
  }

 private:
  void require(int status) {
    out_->check_time();
    if (status < 0) throw_bad_sound(name_, ffmpeg_message(status));
  }

  [[noreturn]] void throw_no_sound() {
    std::string found;
    for (unsigned i = 0; i < format_->nb_streams; ++i) {
      const AVCodecParameters& codec = *format_->streams[i]->codecpar;
      const char* kind = av_get_media_type_string(codec.codec_type);
      found +=
          std::string(i ? ", " : "") + (kind ? kind : "data") + " (" + ffmpeg().avcodec_get_name(codec.codec_id) + ")";
    }
    throw Error(ErrorCode::kBadFile, name_ + ": expected a sound track that g3n can decode, found " +
                                         (found.empty() ? "no stream at all" : "only " + found));
  }

  void open_decoder(const AVCodec* codec) {
    codec_.reset(ffmpeg().avcodec_alloc_context3(codec));
    if (!codec_) throw std::bad_alloc();
    require(ffmpeg().avcodec_parameters_to_context(codec_.get(), stream_->codecpar));
    codec_->pkt_timebase = stream_->time_base;
    codec_->err_recognition = AV_EF_CRCCHECK | AV_EF_EXPLODE;
    codec_->thread_count = 1;
    codec_->log_level_offset = kSilentDecoder;
    require(ffmpeg().avcodec_open2(codec_.get(), codec, nullptr));
  }

  std::string position() const {
    const double seconds = out_->rate_hz() ? static_cast<double>(out_->count()) / out_->rate_hz() : 0.0;
    return " at " + std::to_string(seconds) + " s";
  }

  void decode(const AVPacket* packet) {  // null: the end, give what you have
    int status = ffmpeg().avcodec_send_packet(codec_.get(), packet);
    if (status < 0 && status != AVERROR_EOF && !complete()) throw_bad_sound(name_, ffmpeg_message(status) + position());
    while ((status = ffmpeg().avcodec_receive_frame(codec_.get(), frame_.get())) >= 0) {
      if (frame_->decode_error_flags || (frame_->flags & AV_FRAME_FLAG_CORRUPT))
        throw_bad_sound(name_, "damaged data" + position());
      collect();
      av_frame_unref(frame_.get());
    }
    if (status != AVERROR(EAGAIN) && status != AVERROR_EOF && !complete())
      throw_bad_sound(name_, ffmpeg_message(status) + position());
  }

  void collect() {
    const auto format = static_cast<AVSampleFormat>(frame_->format);
    const int channels = frame_->ch_layout.nb_channels, bytes = av_get_bytes_per_sample(format);
    if (channels < 1 || bytes < 1) throw_bad_sound(name_, "a frame without channels" + position());
    const bool planar = av_sample_fmt_is_planar(format);
    const AVSampleFormat packed = av_get_packed_sample_fmt(format);
    mono_.resize(static_cast<std::size_t>(frame_->nb_samples));
    for (int i = 0; i < frame_->nb_samples; ++i) {
      double sum = 0;
      for (int c = 0; c < channels; ++c) {
        const std::uint8_t* at = planar
                                     ? frame_->extended_data[c] + static_cast<std::ptrdiff_t>(bytes) * i
                                     : frame_->extended_data[0] + static_cast<std::ptrdiff_t>(bytes) *
                                                                      (static_cast<std::ptrdiff_t>(i) * channels + c);
        sum += read_sample(at, packed);
      }
      mono_[static_cast<std::size_t>(i)] = static_cast<float>(sum / channels);
    }
    out_->set_rate(frame_->sample_rate);
    out_->push(mono_);
  }

  // FLAC states its length, MP3 does so in its first frame (Xing, padding included); fewer samples mean that the file
  // was cut.
  void check_length() {
    constexpr int kMp3PaddingSamples = 4 * 1152;
    const bool flac = is("flac"), mp3 = is("mp3");
    if ((!flac && !mp3) || out_->count() >= declared_ - (mp3 ? kMp3PaddingSamples : 0)) return;
    throw_bad_sound(name_, "expected " + std::to_string(declared_) + " samples as the header says, found " +
                               std::to_string(out_->count()));
  }

  // A FLAC file has given all that it announced: what follows are bytes behind the end. In a file that is known to be
  // cut, the packet that the cut goes through: as much of it counts as the decoder takes.
  bool complete() const { return is_cut_ || (is("flac") && declared_ > 0 && out_->count() >= declared_); }

  bool is(const char* demuxer) const { return std::strcmp(format_->iformat->name, demuxer) == 0; }

  const std::string& name_;
  MemoryInput input_;
  bool is_cut_;
  SampleCollector* out_;
  AVFormatContext* format_ = nullptr;
  AVStream* stream_ = nullptr;
  std::int64_t declared_ = 0;  // samples at the file's rate, as its header says; 0 if unknown
  CodecContextPtr codec_;
  FramePtr frame_;
  std::vector<float> mono_;
};

}  // namespace

void decode_by_ffmpeg(Bytes file, const Container& container, const std::string& name, SampleCollector* out) {
  load_ffmpeg(name);
  const char* demuxer = container.demuxer;
  const AVInputFormat* format = demuxer ? ffmpeg().av_find_input_format(demuxer) : guess_demuxer(file);
  if (!format) {
    if (demuxer)
      throw Error(ErrorCode::kUnsupported, name + ": this build of FFmpeg cannot read " + demuxer + " files");
    throw Error(
        ErrorCode::kBadFile,
        name + ": expected sound (WAV, FLAC, MP3, Ogg, M4A or a video with sound), found a file of unknown format");
  }
  SoundReader reader(file, container.is_cut, name, out);
  reader.open(format);
  reader.read_all();
}

}  // namespace g3n::media
