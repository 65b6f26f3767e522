// A SoapySDR driver for tests: the client of tests/hil/frontend/stream_server.py, where the protocol stands.
//
// driver=isacstream,address=HOST:PORT or address=unix:PATH[,patience=SECONDS]
// All channels share one clock and one rate; time counts samples. Every wait ends.

#include "link.hpp"
#include <SoapySDR/Device.hpp>
#include <SoapySDR/Formats.hpp>
#include <SoapySDR/Registry.hpp>
#include <SoapySDR/Time.hpp>
#include <algorithm>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

enum Kind : uint8_t {
    // clang-format off
    HELLO = 1, READER, TIME, RATE, GAIN, FREQUENCY, CLOCK, TIMING, LOCKED, WRITE, EVENT, START, STOP, READ, BYE
    // clang-format on
};
enum Status : uint8_t { OK, REFUSED, OVERRUN, LATE, FULL, STALE };
static constexpr size_t READ_HEAD = 13, MOST = 1 << 16, MTU = 1 << 14;

static double patience(const SoapySDR::Kwargs &args) {
    const auto found = args.find("patience");
    const double value = found == args.end() ? 5.0 : std::stod(found->second);
    if (!(value > 0 && value <= 3600))
        throw std::runtime_error("patience must be from 0 to 3600 s");
    return value;
}

static Bytes greeting(const uint64_t session) {
    Bytes body{'I', 'S', 'A', 'C'};
    put<uint32_t>(body, 1);
    put<uint64_t>(body, session);
    return body;
}

class IsacStream : public SoapySDR::Device {
public:
    explicit IsacStream(const SoapySDR::Kwargs &args)
        : address_(args.at("address")), control_(address_, patience(args)),
          reader_(address_, patience(args)) {
        const Bytes hello = control_.call(HELLO, greeting(0));
        counts_[SOAPY_SDR_TX] = get<uint16_t>(hello, 8);
        counts_[SOAPY_SDR_RX] = get<uint16_t>(hello, 10);
        rate_ = get<double>(hello, 12);
        for (size_t k = 0; k < 3; ++k)
            ranges_[k] = SoapySDR::Range(get<double>(hello, 20 + 16 * k), get<double>(hello, 28 + 16 * k));
        if (!(rate_ >= 1))
            control_.fail("sent garbage");
        reader_.call(READER, greeting(get<uint64_t>(hello, 0)));
    }

    ~IsacStream() override {
        attempt([&] { // who opens the device next finds it free
            control_.call(BYE, {});
            return 0;
        });
    }

    std::string getDriverKey() const override { return "isacstream"; }
    std::string getHardwareKey() const override { return "virtual front end"; }
    SoapySDR::Kwargs getHardwareInfo() const override {
        return {{"address", address_}, {"phase_coherent", "true"}, {"time", "virtual"}};
    }
    size_t getNumChannels(const int direction) const override { return counts_[direction == SOAPY_SDR_RX]; }
    bool getFullDuplex(const int, const size_t) const override { return true; }

    // Streams -------------------------------------------------------------------------------------

    std::vector<std::string> getStreamFormats(const int, const size_t) const override {
        return {SOAPY_SDR_CF32};
    }
    std::string getNativeStreamFormat(const int, const size_t, double &fullScale) const override {
        fullScale = 1.0;
        return SOAPY_SDR_CF32;
    }
    SoapySDR::Stream *setupStream(const int direction, const std::string &format,
                                  const std::vector<size_t> &channels, const SoapySDR::Kwargs &) override {
        std::vector<size_t> wanted = channels.empty() ? std::vector<size_t>{0} : channels;
        std::vector<size_t> sorted = wanted;
        std::sort(sorted.begin(), sorted.end());
        if (format != SOAPY_SDR_CF32)
            throw std::runtime_error("samples are CF32, not " + format);
        if (sorted.back() >= getNumChannels(direction) ||
            std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
            throw std::runtime_error("there are no such channels");
        auto &stream = streams_[direction == SOAPY_SDR_RX];
        if (!stream.empty())
            throw std::runtime_error("the stream is in use");
        stream = wanted;
        return reinterpret_cast<SoapySDR::Stream *>(&stream);
    }
    void closeStream(SoapySDR::Stream *stream) override {
        deactivateStream(stream, 0, 0);
        reinterpret_cast<std::vector<size_t> *>(stream)->clear();
    }
    size_t getStreamMTU(SoapySDR::Stream *) const override { return MTU; }

    int activateStream(SoapySDR::Stream *stream, const int flags, const long long timeNs,
                       const size_t numElems) override {
        if (!receives(stream))
            return 0;
        std::lock_guard<std::mutex> guard(reading_);
        Bytes body;
        put<int64_t>(body, flags & SOAPY_SDR_HAS_TIME ? SoapySDR::timeNsToTicks(timeNs, rate_) : -1);
        put<uint64_t>(body, numElems);
        return attempt([&] {
            uint8_t status = OK;
            const Bytes answer = control_.call(START, body, &status);
            generation_ = get<uint32_t>(answer, 0);
            active_ = status == OK;
            left_ = 0;
            end_ = false;
            return active_ ? 0 : SOAPY_SDR_TIME_ERROR;
        });
    }
    int deactivateStream(SoapySDR::Stream *stream, const int, const long long) override {
        if (!receives(stream))
            return 0;
        std::lock_guard<std::mutex> guard(reading_);
        if (!active_)
            return 0;
        active_ = false;
        left_ = 0;
        return attempt([&] {
            control_.call(STOP, {});
            return 0;
        });
    }

    int readStream(SoapySDR::Stream *stream, void *const *buffs, const size_t numElems, int &flags,
                   long long &timeNs, const long timeoutUs) override {
        if (!receives(stream))
            return SOAPY_SDR_NOT_SUPPORTED;
        std::lock_guard<std::mutex> guard(reading_);
        flags = 0;
        const auto deadline = in(1e-6 * double(timeoutUs));
        return attempt([&] {
            while (active_ && left_ == 0 && !end_) {
                if (!asked_) {
                    Bytes body;
                    put<uint32_t>(body, generation_);
                    put<uint32_t>(body, uint32_t(std::min(std::max<size_t>(numElems, 1), MOST)));
                    asked_ = reader_.send(READ, body);
                    asked_for_ = generation_;
                }
                uint8_t status = OK;
                if (!reader_.receive(asked_, READ_HEAD + 8 * MOST * counts_[1], deadline, status, answer_))
                    return SOAPY_SDR_TIMEOUT;
                asked_ = 0;
                if (asked_for_ != generation_)
                    continue; // of a reception that is over
                if (status == REFUSED || status == STALE)
                    return SOAPY_SDR_STREAM_ERROR;
                tick_ = get<int64_t>(answer_, 0);
                end_ = answer_.at(8) != 0;
                total_ = left_ = get<uint32_t>(answer_, 9);
                if (answer_.size() != READ_HEAD + 8 * total_ * counts_[1]) {
                    left_ = 0;
                    reader_.fail("sent garbage");
                }
                if (status == OVERRUN) {
                    timeNs = SoapySDR::ticksToTimeNs(tick_, rate_);
                    flags = SOAPY_SDR_HAS_TIME;
                    return SOAPY_SDR_OVERFLOW;
                }
                if (left_ == 0 && !end_ && Clock::now() > deadline)
                    return SOAPY_SDR_TIMEOUT;
            }
            if (!active_)
                return SOAPY_SDR_TIMEOUT;
            const size_t count = std::min(left_, numElems), used = total_ - left_;
            for (size_t k = 0; k < streams_[1].size(); ++k)
                std::memcpy(buffs[k], answer_.data() + READ_HEAD + 8 * (streams_[1][k] * total_ + used),
                            8 * count);
            timeNs = SoapySDR::ticksToTimeNs(tick_ + (long long)used, rate_);
            flags = SOAPY_SDR_HAS_TIME;
            left_ -= count;
            if (left_ == 0 && end_) {
                flags |= SOAPY_SDR_END_BURST;
                active_ = end_ = false;
            }
            return int(count);
        });
    }

    int writeStream(SoapySDR::Stream *stream, const void *const *buffs, const size_t numElems, int &flags,
                    const long long timeNs, const long timeoutUs) override {
        if (receives(stream))
            return SOAPY_SDR_NOT_SUPPORTED;
        const auto deadline = in(1e-6 * double(timeoutUs));
        const size_t count = std::min(numElems, MTU);
        Bytes body;
        put<int64_t>(body, flags & SOAPY_SDR_HAS_TIME ? SoapySDR::timeNsToTicks(timeNs, rate_) : -1);
        put<uint8_t>(body, (flags & SOAPY_SDR_END_BURST) && count == numElems);
        put<uint32_t>(body, uint32_t(count));
        const size_t head = body.size();
        body.resize(head + 8 * count * counts_[0]);
        for (size_t k = 0; k < streams_[0].size(); ++k)
            std::memcpy(body.data() + head + 8 * count * streams_[0][k], buffs[k], 8 * count);
        return attempt([&] {
            for (;;) {
                uint8_t status = OK;
                control_.call(WRITE, body, &status);
                if (status == OK)
                    return int(count);
                if (status != FULL)
                    return SOAPY_SDR_STREAM_ERROR;
                if (Clock::now() > deadline)
                    return SOAPY_SDR_TIMEOUT;
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
        });
    }

    int readStreamStatus(SoapySDR::Stream *stream, size_t &chanMask, int &flags, long long &timeNs,
                         const long timeoutUs) override {
        if (receives(stream))
            return SOAPY_SDR_NOT_SUPPORTED;
        const auto deadline = in(1e-6 * double(timeoutUs));
        chanMask = 0;
        for (const size_t channel : streams_[0])
            chanMask |= size_t(1) << channel;
        flags = 0;
        return attempt([&] {
            for (;;) {
                const Bytes event = control_.call(EVENT, {});
                if (!event.empty()) {
                    const uint8_t kind = get<uint8_t>(event, 0);
                    timeNs = SoapySDR::ticksToTimeNs(get<int64_t>(event, 1), rate_);
                    flags = SOAPY_SDR_HAS_TIME | (kind == 0 ? SOAPY_SDR_END_BURST : 0);
                    return kind == 0 ? 0 : kind == 1 ? SOAPY_SDR_TIME_ERROR : SOAPY_SDR_UNDERFLOW;
                }
                if (Clock::now() >= deadline)
                    return SOAPY_SDR_TIMEOUT;
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
        });
    }

    // Settings ------------------------------------------------------------------------------------

    void setSampleRate(const int, const size_t, const double rate) override {
        Bytes body;
        put<double>(body, rate);
        rate_ = get<double>(control_.call(RATE, body), 0);
    }
    double getSampleRate(const int, const size_t) const override { return rate_; }
    SoapySDR::RangeList getSampleRateRange(const int, const size_t) const override { return {ranges_[0]}; }

    std::vector<std::string> listGains(const int, const size_t) const override { return {"PGA"}; }
    void setGain(const int direction, const size_t channel, const double value) override {
        number(GAIN, direction, channel, value, true);
    }
    void setGain(const int direction, const size_t channel, const std::string &,
                 const double value) override {
        setGain(direction, channel, value);
    }
    double getGain(const int direction, const size_t channel) const override {
        return number(GAIN, direction, channel, 0, false);
    }
    double getGain(const int direction, const size_t channel, const std::string &) const override {
        return getGain(direction, channel);
    }
    SoapySDR::Range getGainRange(const int, const size_t) const override { return ranges_[1]; }
    SoapySDR::Range getGainRange(const int, const size_t, const std::string &) const override {
        return ranges_[1];
    }

    std::vector<std::string> listFrequencies(const int, const size_t) const override { return {"RF"}; }
    void setFrequency(const int direction, const size_t channel, const double value,
                      const SoapySDR::Kwargs &) override {
        number(FREQUENCY, direction, channel, value, true);
    }
    void setFrequency(const int direction, const size_t channel, const std::string &, const double value,
                      const SoapySDR::Kwargs &args) override {
        setFrequency(direction, channel, value, args);
    }
    double getFrequency(const int direction, const size_t channel) const override {
        return number(FREQUENCY, direction, channel, 0, false);
    }
    double getFrequency(const int direction, const size_t channel, const std::string &) const override {
        return getFrequency(direction, channel);
    }
    SoapySDR::RangeList getFrequencyRange(const int, const size_t) const override { return {ranges_[2]}; }
    SoapySDR::RangeList getFrequencyRange(const int, const size_t, const std::string &) const override {
        return {ranges_[2]};
    }

    std::vector<std::string> listClockSources() const override { return {"internal", "external"}; }
    void setClockSource(const std::string &source) override { text(CLOCK, source); }
    std::string getClockSource() const override { return text(CLOCK, ""); }
    std::vector<std::string> listTimeSources() const override { return {"internal", "external"}; }
    void setTimeSource(const std::string &source) override { text(TIMING, source); }
    std::string getTimeSource() const override { return text(TIMING, ""); }
    bool hasHardwareTime(const std::string &what) const override { return what.empty(); }
    long long getHardwareTime(const std::string &) const override {
        return SoapySDR::ticksToTimeNs(get<int64_t>(control_.call(TIME, {}), 0), rate_);
    }
    void setHardwareTime(const long long, const std::string &) override {
        throw std::runtime_error("the front end's time cannot be set");
    }
    std::vector<std::string> listSensors() const override { return {"ref_locked"}; }
    std::string readSensor(const std::string &key) const override {
        if (key != "ref_locked")
            throw std::runtime_error("there is no sensor " + key);
        return get<uint8_t>(control_.call(LOCKED, {}), 0) ? "true" : "false";
    }

private:
    bool receives(const SoapySDR::Stream *stream) const {
        return reinterpret_cast<const std::vector<size_t> *>(stream) == &streams_[1];
    }
    template <typename Call> static int attempt(const Call &call) {
        try {
            return call();
        } catch (const std::exception &error) {
            return SOAPY_SDR_STREAM_ERROR;
        }
    }
    double number(const uint8_t kind, const int direction, const size_t channel, const double value,
                  const bool set) const {
        Bytes body;
        put<uint8_t>(body, direction == SOAPY_SDR_RX);
        put<uint8_t>(body, uint8_t(std::min<size_t>(channel, 255)));
        put<double>(body, value);
        put<uint8_t>(body, set);
        return get<double>(control_.call(kind, body), 0);
    }
    std::string text(const uint8_t kind, const std::string &value) const {
        const Bytes answer = control_.call(kind, Bytes(value.begin(), value.end()));
        return std::string(answer.begin(), answer.end());
    }

    const std::string address_;
    mutable Link control_;
    Link reader_;
    size_t counts_[2] = {0, 0}; // SOAPY_SDR_TX is 0, SOAPY_SDR_RX 1
    double rate_ = 0;
    SoapySDR::Range ranges_[3]; // of rates, gains, frequencies
    std::vector<size_t> streams_[2];
    std::mutex reading_; // guards all that follows
    Bytes answer_;
    uint32_t generation_ = 0, asked_ = 0, asked_for_ = 0;
    size_t left_ = 0, total_ = 0; // samples of the answer
    long long tick_ = 0;
    bool active_ = false, end_ = false;
};

// Nobody is searched for: a device is found where an address is given.
static SoapySDR::KwargsList find(const SoapySDR::Kwargs &args) {
    if (!args.count("address"))
        return {};
    SoapySDR::Kwargs found(args);
    found["label"] = "virtual front end at " + args.at("address");
    return {found};
}
static SoapySDR::Device *make(const SoapySDR::Kwargs &args) { return new IsacStream(args); }
static SoapySDR::Registry registration("isacstream", &find, &make, SOAPY_SDR_ABI_VERSION);
