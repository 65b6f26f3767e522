// A connection to tests/hil/frontend/stream_server.py: requests and answers. Every wait ends.

#pragma once
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

using Clock = std::chrono::steady_clock;
using Bytes = std::vector<char>;
static constexpr size_t HEAD = 9;
static constexpr uint8_t ANSWER_OK = 0, ANSWER_REFUSED = 1;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the protocol is little-endian");

template <typename T> static void put(Bytes &to, const T value) {
    const char *from = reinterpret_cast<const char *>(&value);
    to.insert(to.end(), from, from + sizeof(T));
}

template <typename T> static T get(const Bytes &from, const size_t at) {
    if (at + sizeof(T) > from.size())
        throw std::runtime_error("the front end sent garbage");
    T value;
    std::memcpy(&value, from.data() + at, sizeof(T));
    return value;
}

static Clock::time_point in(const double seconds) {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// A connection. An answer that has begun to arrive is kept from one wait to the next.
class Link {
public:
    Link(const std::string &address, const double patience) : address_(address), patience_(patience) {
        if (address.rfind("unix:", 0) == 0) {
            sockaddr_un to{};
            to.sun_family = AF_UNIX;
            const std::string path = address.substr(5);
            if (path.empty() || path.size() >= sizeof(to.sun_path))
                fail("the path is no socket's");
            std::memcpy(to.sun_path, path.data(), path.size());
            connect(AF_UNIX, reinterpret_cast<sockaddr *>(&to), sizeof(to));
            return;
        }
        const size_t colon = address.rfind(':');
        if (colon == std::string::npos)
            fail("give address=HOST:PORT or address=unix:PATH");
        addrinfo hints{}, *found = nullptr;
        hints.ai_socktype = SOCK_STREAM;
        if (getaddrinfo(address.substr(0, colon).c_str(), address.substr(colon + 1).c_str(), &hints,
                        &found) != 0)
            fail("no such host or port");
        try {
            connect(found->ai_family, found->ai_addr, found->ai_addrlen);
        } catch (...) {
            freeaddrinfo(found);
            throw;
        }
        freeaddrinfo(found);
        const int one = 1;
        setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    ~Link() { close(); }
    Link(const Link &) = delete;
    Link &operator=(const Link &) = delete;

    [[noreturn]] void fail(const std::string &why) {
        close();
        throw std::runtime_error("front end at " + address_ + ": " + why);
    }
    Clock::time_point patience() const { return in(patience_); }

    uint32_t send(const uint8_t kind, const Bytes &body) {
        if (fd_ < 0)
            fail("the connection is lost");
        Bytes data;
        data.reserve(HEAD + body.size());
        put<uint32_t>(data, uint32_t(body.size()));
        put<uint32_t>(data, ++number_);
        put<uint8_t>(data, kind);
        data.insert(data.end(), body.begin(), body.end());
        const auto deadline = patience();
        for (size_t done = 0; done < data.size();) {
            if (!wait(POLLOUT, deadline))
                fail("does not take what is sent");
            const ssize_t sent = ::send(fd_, data.data() + done, data.size() - done, MSG_NOSIGNAL);
            if (sent < 0 && errno != EAGAIN && errno != EINTR)
                fail("the connection is lost");
            if (sent > 0)
                done += size_t(sent);
        }
        return number_;
    }

    // Whether the answer to a request came; those to earlier ones are passed over.
    bool receive(const uint32_t number, const size_t most, const Clock::time_point deadline, uint8_t &status,
                 Bytes &body) {
        if (fd_ < 0)
            fail("the connection is lost");
        for (;;) {
            const size_t want = have_ < HEAD ? HEAD : HEAD + get<uint32_t>(buffer_, 0);
            if (want > HEAD + most)
                fail("sent garbage");
            if (buffer_.size() < want)
                buffer_.resize(want);
            if (have_ >= HEAD && have_ == want) {
                const uint32_t found = get<uint32_t>(buffer_, 4);
                status = uint8_t(buffer_[8]);
                body.assign(buffer_.begin() + HEAD, buffer_.begin() + ptrdiff_t(want));
                have_ = 0;
                if (found == number)
                    return true;
                if (int32_t(found - number) > 0 || found == 0)
                    fail("sent garbage");
                continue;
            }
            if (!wait(POLLIN, deadline))
                return false;
            const ssize_t got = ::recv(fd_, buffer_.data() + have_, want - have_, 0);
            if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
                fail("the connection is lost");
            if (got > 0)
                have_ += size_t(got);
        }
    }

    // A request and its answer.
    Bytes call(const uint8_t kind, const Bytes &body, uint8_t *status = nullptr) {
        std::lock_guard<std::mutex> guard(mutex_);
        const uint32_t number = send(kind, body);
        uint8_t found = ANSWER_OK;
        Bytes answer;
        if (!receive(number, 4096, patience(), found, answer))
            fail("does not answer in time");
        if (found == ANSWER_REFUSED)
            throw std::runtime_error("front end at " + address_ + ": " +
                                     std::string(answer.begin(), answer.end()));
        if (status)
            *status = found;
        return answer;
    }

private:
    void connect(const int family, const sockaddr *to, const socklen_t size) {
        fd_ = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd_ < 0)
            fail("no socket can be had");
        int error = ::connect(fd_, to, size) == 0 ? 0 : errno;
        if (error == EINPROGRESS || error == EAGAIN) {
            socklen_t length = sizeof(error);
            if (!wait(POLLOUT, patience()))
                fail("cannot be reached");
            getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length);
        }
        if (error)
            fail(std::string("cannot be reached (") + std::strerror(error) + ")");
    }
    bool wait(const short what, const Clock::time_point deadline) {
        for (;;) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
            pollfd one{fd_, what, 0};
            const int found = ::poll(&one, 1, int(std::clamp<long long>(left, 0, 1000)));
            if (found > 0)
                return true;
            if (found == 0 && left <= 0)
                return false;
            if (found < 0 && errno != EINTR)
                fail("the connection is lost");
        }
    }
    void close() {
        if (fd_ >= 0)
            ::close(fd_);
        fd_ = -1;
    }

    const std::string address_;
    const double patience_;
    std::mutex mutex_;
    int fd_ = -1;
    uint32_t number_ = 0;
    Bytes buffer_;
    size_t have_ = 0;
};
